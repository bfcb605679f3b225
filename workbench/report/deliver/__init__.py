"""Delivery: a report as a mail and as a PDF."""
