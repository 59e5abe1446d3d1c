"""Label propagation with frozen features: tasks, presets, the propagation, the scores."""
