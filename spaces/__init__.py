"""What may vary: each file is a search space."""
