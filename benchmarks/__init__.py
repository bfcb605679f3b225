"""Measurements: `make bench` for speed beside named peers, `make soak` for durability under kills."""
