"""Single rows of the simulated platform: events, LLM calls, cost lines; each agrees with what the metrics count.

Rows belong to cells of five minutes. What a counter adds in a cell is as many rows in it; which moments, tokens and
scores they have is drawn by the cell, so history and live data are the same rows, and what comes twice is there once.
"""
