"""Ray Train: drives one pretraining run from start, or resume, to end."""
