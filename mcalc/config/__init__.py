"""What one trial is: typed settings, how they are filled, and a trial's identity."""
