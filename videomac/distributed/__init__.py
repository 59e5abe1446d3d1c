"""The rim where Ray is known: data execution, training workers, evaluation tasks, sweeps."""
