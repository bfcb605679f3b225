"""The operators' drill-down: one board of charts that filter, zoom and compare together, served by Panel."""
