"""From image files to network input: decoding, grey scale, regions, enhancement, the cache."""
