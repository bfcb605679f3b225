"""Stores beside the lake, behind two small protocols: `TimeSeriesStore` for samples, `Warehouse` for tables.

A store is named by a URL (`opening`). `remote_view` makes one view of it, so that PromQL, SQL, selections and rows
policies work on it as they do on the lake.
"""
