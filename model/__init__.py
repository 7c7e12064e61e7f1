"""One trial, from sentences to scores: knows torch, nothing of Ray, Optuna or the search."""
