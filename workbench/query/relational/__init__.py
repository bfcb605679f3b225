"""SQL over log and lake: DuckDB asks for columns, times and names; only those are read.

`conditions` understands what DuckDB pushes down, `tables` reads it from a view, `statement` runs a statement within its
bounds, `faults` says in our words what DuckDB had against it, `answers` gives the result to HTTP clients.
"""
