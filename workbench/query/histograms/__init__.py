"""Arithmetic of native histograms over plain arrays: sums, resets, quantiles, trimming, their text."""
