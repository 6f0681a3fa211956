"""Samples, the protocols that split them, split files and scoring units."""
