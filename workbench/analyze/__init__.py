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
from workbench.analyze.days_ahead import Outlook, outlook
from workbench.analyze.movers import Mover, top_movers

__all__ = [
    "SLOTS",
    "Comparison",
    "Mover",
    "Outlook",
    "Unusual",
    "Usual",
    "compare_days",
    "find_unusual",
    "outlook",
    "say_change",
    "say_hours",
    "say_value",
    "top_movers",
    "usual_day",
]
