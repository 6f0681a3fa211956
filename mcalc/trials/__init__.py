"""From data to a recorded trial: runs it, writes its artifacts and its environment."""
