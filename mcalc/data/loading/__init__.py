"""Batches: sampling order, augmentation and the data module."""
