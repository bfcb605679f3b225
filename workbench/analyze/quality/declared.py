"""Checks as people declare them, in YAML; all faults of a file are told at once.

source: this host                    # who sends it
checks:
  - name: cpu_share
    about: Shares are between 0 and 1.
    metric: 'system_cpu_utilization_ratio{host_name="a"}'     # a selector of PromQL; or `table: usage`
    window_seconds: 900
    range: {low: 0, high: 1}                     # both included
    monotonic: {resets_max: 1}                   # a counter: falls are resets, and there are at most so many
    fresh_seconds: 120                           # the newest row is no older
    complete: {every_seconds: 10, share_min: 0.9}    # of a table: {rows_min: 100}
    labels: [host_name]                          # every series has them
    columns:                                     # of a table
      input_tokens: {low: 0, high: 1e7, required: true, pattern: "", allowed: []}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from workbench.errors import InputError
from workbench.query import parse_selector
from workbench.schema import KINDS

WINDOW_SECONDS = 900
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COMMON = frozenset({"name", "about", "window_seconds", "fresh_seconds", "complete"})
_SERIES = _COMMON | {"metric", "range", "monotonic", "labels"}
_TABLE = _COMMON | {"table", "columns"}
_COLUMN = frozenset({"low", "high", "required", "pattern", "allowed"})


@dataclass(frozen=True)
class Expectation:
    """What is expected of one column: bounds (both included), never empty, a pattern of the text, allowed values."""

    low: float | None = None
    high: float | None = None
    required: bool = False
    pattern: str = ""
    allowed: tuple[Any, ...] = ()


@dataclass(frozen=True)
class SeriesCheck:
    """What is expected of the samples of a selector, within the last `window_seconds`; None: nothing."""

    source: str
    name: str
    about: str
    metric: str
    window_seconds: int = WINDOW_SECONDS
    low: float | None = None
    high: float | None = None
    resets_max: int | None = None
    fresh_seconds: float | None = None
    every_seconds: float | None = None
    share_min: float = 0.9
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableCheck:
    """What is expected of the rows of a table within the last `window_seconds`; None: nothing."""

    source: str
    name: str
    about: str
    table: str
    window_seconds: int = WINDOW_SECONDS
    fresh_seconds: float | None = None
    rows_min: int | None = None
    columns: tuple[tuple[str, Expectation], ...] = ()


Check = SeriesCheck | TableCheck


def read_declarations(text: str, where: str) -> list[Check]:
    """The checks of one file. Raises InputError that names all faults."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"not valid YAML: {str(error)[:300]}", where=where) from error
    faults: list[str] = []
    if not isinstance(document, dict) or not isinstance(document.get("checks"), list):
        raise InputError("needs `source` and a list of `checks`", where=where, hint="See docs/data-quality.md.")
    source = document.get("source")
    if not isinstance(source, str) or not source:
        faults.append("source: is required, a text")
    found = []
    for number, entry in enumerate(document["checks"], 1):
        at = f"check {number}"
        if not isinstance(entry, dict):
            faults.append(f"{at}: must be a mapping")
            continue
        reader = _Reader(entry, f"{at} ({entry.get('name')})", faults)
        found.append(_check(str(source), reader))
    names = [check.name for check in found]
    faults += [f"name {name!r} is given twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if faults:
        raise InputError("; ".join(faults), where=where, hint="See docs/data-quality.md.")
    return found


def _check(source: str, reader: _Reader) -> Check:
    name = reader.text("name")
    if not _NAME.fullmatch(name):
        reader.fault("name", "must be small letters, digits and underscores")
    about, window = reader.text("about"), int(reader.number("window_seconds") or WINDOW_SECONDS)
    if not 1 <= window <= 7 * 86400:
        reader.fault("window_seconds", "must be 1 to 604800")
    fresh, complete = (
        reader.number("fresh_seconds"),
        reader.part("complete", {"every_seconds", "share_min", "rows_min"}),
    )
    if "table" in reader.entry:
        return _table(source, name, about, window, fresh, complete, reader)
    reader.only(_SERIES)
    metric = reader.text("metric")
    try:
        parse_selector(metric)
    except Exception as error:  # of whatever kind: it is told with the others
        reader.fault("metric", str(error)[:200])
    bounds, counter = reader.part("range", {"low", "high"}), reader.part("monotonic", {"resets_max"})
    resets = (counter.number("resets_max") or 0) if counter.given else None
    return SeriesCheck(
        source, name, about, metric, window, bounds.number("low"), bounds.number("high"),
        None if resets is None else int(resets), fresh, complete.number("every_seconds"),
        complete.number("share_min") or 0.9, reader.texts("labels"),
    )  # fmt: skip


def _table(
    source: str, name: str, about: str, window: int, fresh: float | None, complete: _Reader, reader: _Reader
) -> TableCheck:
    reader.only(_TABLE)
    table = reader.text("table")
    kind = KINDS.get(table)
    if kind is None or not kind.time:
        reader.fault("table", f"must be one of {', '.join(k.name for k in KINDS.values() if k.time)}")
    columns = []
    for column, body in (reader.part("columns", None).entry).items():
        part = _Reader(body if isinstance(body, dict) else {}, f"{reader.at}: columns.{column}", reader.faults)
        if not isinstance(body, dict):
            part.fault("", "must be a mapping")
        if kind is not None and column not in kind.schema.names:
            part.fault("", f"{table} has no such column; it has {', '.join(kind.schema.names)}")
        part.only(_COLUMN)
        pattern = part.text("pattern")
        try:
            re.compile(pattern)
        except re.error as error:
            part.fault("pattern", f"is no regular expression: {error}")
        allowed = body.get("allowed", []) if isinstance(body, dict) else []
        expected = Expectation(
            part.number("low"), part.number("high"), part.entry.get("required") is True, pattern,
            tuple(allowed) if isinstance(allowed, list) else (),
        )  # fmt: skip
        columns.append((str(column), expected))
    rows_min = complete.number("rows_min")
    return TableCheck(
        source, name, about, table, window, fresh, None if rows_min is None else int(rows_min), tuple(columns)
    )


class _Reader:
    """Reads one mapping, and notes what is wrong with it."""

    def __init__(self, entry: Mapping[Any, Any], at: str, faults: list[str], *, given: bool = True) -> None:
        self.entry = entry
        self.at = at
        self.faults = faults
        self.given = given

    def fault(self, field: str, message: str) -> None:
        """Note a fault."""
        self.faults.append(f"{self.at}: {f'{field} ' if field else ''}{message}")

    def only(self, names: frozenset[str]) -> None:
        """Note every key that is none of these."""
        for key in self.entry:
            if key not in names:
                self.fault(str(key), f"is unknown; there are {', '.join(sorted(names))}")

    def text(self, field: str) -> str:
        """A text, "" where there is none."""
        value = self.entry.get(field, "")
        if not isinstance(value, str):
            self.fault(field, "must be a text")
            return ""
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.entry.get(field, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.fault(field, "must be a list of texts")
            return ()
        return tuple(value)

    def number(self, field: str) -> float | None:
        """A number, None where there is none."""
        value = self.entry.get(field)
        if value is None:
            return None
        try:
            return float(value) if not isinstance(value, bool) else 1 / 0
        except (TypeError, ValueError, ZeroDivisionError):
            self.fault(field, "must be a number")
            return None

    def part(self, field: str, names: set[str] | None) -> _Reader:
        """A mapping within, which may be missing."""
        value = self.entry.get(field, {})
        if not isinstance(value, dict):
            self.fault(field, "must be a mapping")
            value = {}
        made = _Reader(value, f"{self.at}: {field}", self.faults, given=field in self.entry)
        if names is not None:
            made.only(frozenset(names))
        return made
