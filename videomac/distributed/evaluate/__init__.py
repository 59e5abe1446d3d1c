"""Label propagation as Ray tasks."""
