"""Pure analytics: plain data in, findings out; no I/O, no clock."""

from workbench.analyze.daily import Comparison, Unusual, compare_days, find_unusual, say_change, say_value

__all__ = ["Comparison", "Unusual", "compare_days", "find_unusual", "say_change", "say_value"]
