"""Which column is what: the `column=field` pairs of an import, and what is guessed where they are silent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from workbench.errors import InputError

IGNORE = "ignore"
TIME_NAMES = ("time", "timestamp", "ts", "ds", "date", "datetime")
VALUE_NAMES = ("value", "y")
_TIME_FIELD = re.compile(r"time(?::(?P<step>\d+(?:\.\d+)?)?(?P<unit>us|ms|ns|s|m|h|d)(?:@(?P<start>.+))?)?")
HINT = "Fields: time, value, name, label:<name> (or just the label's name), ignore."


@dataclass(frozen=True)
class TimeField:
    """How a time column is read: numbers count `unit`s since 1970, or steps of `step` units from `start` (RFC 3339)."""

    column: str
    step: float | None = None
    unit: str = ""
    start: str = ""


@dataclass(frozen=True)
class Layout:
    """What the columns of a table are. Several value columns become series told apart by the label `column`."""

    time: TimeField
    values: tuple[str, ...]
    labels: Mapping[str, str]
    name: str | None


def lay_out(columns: Sequence[str], text: frozenset[str], mapping: Mapping[str, str], *, where: str) -> Layout:
    """Decide for the columns of a file; `text` are those that hold text rather than numbers or times.

    A mapping's column may be a pattern (`f*`). Of the columns it does not name: a well-known name is time or value,
    text is a label, a number is a value if no column is one yet, else it is left out. Raises InputError.
    """
    fields = _named(columns, mapping, where)
    rest = [column for column in columns if column not in fields]
    if not any(_TIME_FIELD.fullmatch(field) for field in fields.values()):
        found = next((c for c in rest if c.lower() in TIME_NAMES), None)
        if found is None:
            hint = f"Say which: --map COLUMN=time. Columns: {', '.join(columns)}."
            raise InputError("no column is the time", where=where, hint=hint)
        fields[found] = "time"
    if "value" not in fields.values():
        known = [c for c in rest if c.lower() in VALUE_NAMES and c not in fields]
        numbers = [c for c in rest if c not in text and c not in fields]
        fields.update(dict.fromkeys(known[:1] or numbers, "value"))
    fields.update({c: f"label:{c}" for c in rest if c in text and c not in fields})
    return _layout(fields, where)


def _named(columns: Sequence[str], mapping: Mapping[str, str], where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pattern, field in mapping.items():
        matching = [pattern] if pattern in columns else [c for c in columns if fnmatchcase(c, pattern)]
        if not matching:
            raise InputError(f"there is no column {pattern!r}", where=where, hint=f"Columns: {', '.join(columns)}.")
        fields.update({c: field for c in matching if c not in fields})
    return fields


def _layout(fields: Mapping[str, str], where: str) -> Layout:
    times = [(column, match) for column, field in fields.items() if (match := _TIME_FIELD.fullmatch(field))]
    names = [column for column, field in fields.items() if field == "name"]
    values = tuple(column for column, field in fields.items() if field == "value")
    if len(times) != 1 or len(names) > 1:
        raise InputError("one column is the time and at most one the name", where=where, hint=HINT)
    if not values:
        raise InputError("no column is a value", where=where, hint=HINT)
    labels: dict[str, str] = {}
    for column, field in fields.items():
        if field in ("value", "name", IGNORE) or column == times[0][0]:
            continue
        label = field.removeprefix("label:")
        if not label or label in labels.values():
            raise InputError(f"label {label!r} of column {column!r} is empty or given twice", where=where, hint=HINT)
        labels[column] = label
    column, match = times[0]
    step = float(match["step"]) if match["step"] else None
    if (step is None) != (match["start"] is None):
        raise InputError(
            f"{fields[column]!r}: a step needs a start, and a start a step", where=where,
            hint="E.g. t=time:60s@2026-01-01T00:00:00Z for numbered rows a minute apart, t=time:ms for milliseconds.",
        )  # fmt: skip
    time = TimeField(column, step, match["unit"] or "", match["start"] or "")
    return Layout(time, values, labels, names[0] if names else None)
