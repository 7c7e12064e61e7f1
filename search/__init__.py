"""Many trials: a policy, Optuna and Ray Tune over `model`."""
