"""An evaluation apart from where it runs: what is compared, the results, the table, the pictures."""
