"""Ray Data: rows of the plan, decoded by actors, as micro-batches of one worker."""
