"""What is written to disk or sent between processes and read back: one definition for writer and reader."""
