"""What the five papers printed, and whether a run of their configurations agrees."""
