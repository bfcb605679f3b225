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
from workbench.analyze.quality import (
    BadRow,
    Expectation,
    Outcome,
    SeriesCheck,
    TableCheck,
    judge_series,
    judge_table,
    read_declarations,
)

__all__ = [
    "SLOTS",
    "BadRow",
    "Comparison",
    "Expectation",
    "Mover",
    "Outcome",
    "Outlook",
    "SeriesCheck",
    "TableCheck",
    "Unusual",
    "Usual",
    "compare_days",
    "find_unusual",
    "judge_series",
    "judge_table",
    "outlook",
    "read_declarations",
    "say_change",
    "say_hours",
    "say_value",
    "top_movers",
    "usual_day",
]
