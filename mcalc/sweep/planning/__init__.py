"""From sweep files and the command line to planned trials, without running anything."""
