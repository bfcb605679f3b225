"""Scraping of targets that expose metrics over HTTP, configured as Prometheus' own `scrape_configs`."""
