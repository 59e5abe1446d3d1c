"""Entry points: `python -m ray_jobs.NAME [CONFIG] [key=value ...]`, the same as `videomac NAME ...`."""
