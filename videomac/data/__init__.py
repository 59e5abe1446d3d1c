"""From shards to decoded frame pairs: manifest, plan, decoding, augmentation. No Ray, no networks."""
