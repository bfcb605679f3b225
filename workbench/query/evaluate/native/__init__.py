"""What operators, aggregations and functions do with native histograms."""
