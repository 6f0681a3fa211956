"""Sweeps: from a file or comma lists to trials, to trajectories, to what is recorded of them."""
