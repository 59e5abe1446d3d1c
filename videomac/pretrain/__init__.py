"""One pretraining step and what surrounds it, in torch alone: losses, EMA, schedules, checkpoints, export."""
