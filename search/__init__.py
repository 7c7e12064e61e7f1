"""Many trials: Ray Tune, Optuna and ASHA over `model`."""
