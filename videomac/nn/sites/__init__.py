"""How a network computes on visible sites only: three backends of one protocol."""
