"""Pure analytics: plain data in, findings out; no I/O, no clock."""

from workbench.analyze.daily import (
    SLOTS,
    Comparison,
    Unusual,
    Usual,
    compare_days,
    find_unusual,
    say_change,
    say_hours,
    say_value,
    usual_day,
)

__all__ = [
    "SLOTS",
    "Comparison",
    "Unusual",
    "Usual",
    "compare_days",
    "find_unusual",
    "say_change",
    "say_hours",
    "say_value",
    "usual_day",
]
