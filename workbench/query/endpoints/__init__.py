"""What Prometheus' HTTP API answers beside queries: labels and series, exemplars, syntax trees, federation, reads."""
