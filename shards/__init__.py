"""Building, indexing, checking and showing WebDataset shards of video."""
