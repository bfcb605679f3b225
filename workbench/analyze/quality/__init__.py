"""Data quality: what is expected of a source, declared as data, and what its rows make of that."""

from workbench.analyze.quality.declared import Expectation, SeriesCheck, TableCheck, read_declarations
from workbench.analyze.quality.outcome import BadRow, Outcome
from workbench.analyze.quality.series_checks import judge_series
from workbench.analyze.quality.table_checks import judge_table

__all__ = [
    "BadRow",
    "Expectation",
    "Outcome",
    "SeriesCheck",
    "TableCheck",
    "judge_series",
    "judge_table",
    "read_declarations",
]
