"""Prometheus remote write 1.0 to points."""
