"""From a download to batches: index, split, prepare, augment."""
