"""One training run and the trials that stop on it: schedule, patience, checkpoints."""
