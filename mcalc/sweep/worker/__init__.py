"""What runs the jobs of a sweep in one process, here or on another machine."""
