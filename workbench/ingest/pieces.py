"""A point in words: one JSON object, which a person can read and mend, and which becomes rows again.

    {"name", "time", "value" | "values": [[part, bound, value], …] | "histogram", "labels", "resource", "type", "unit",
     "temporality", "convention", "description", "scope", "start", "stale"}

Times are RFC 3339 in UTC; NaN and infinities are the texts `NaN`, `+Inf`, `-Inf`; what is empty is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import InputError
from workbench.ingest.events import rfc3339_us
from workbench.ingest.points import EXEMPLAR_ONLY, Decoded, Member, OddPoint
from workbench.ingest.refusals import Refusal
from workbench.store import Identity

WHOLE = frozenset(
    {
        "too_old", "too_new", "no_time", "label_too_long", "too_many_labels", "reserved_label", "owned_series",
        "anonymous_quota", "too_many_new_series", "series_limit",
    }
)  # fmt: skip
"""Reasons that say nothing against the point itself, so that it can be put into words and sent again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS = ("type", "unit", "temporality", "convention", "description", "scope")
FIELDS = frozenset({"name", "time", "value", "values", "histogram", "labels", "resource", "start", "stale", *_TEXTS})
"""What a point in words can say at its top; all else is a label."""


class Point(NamedTuple):
    """A point read from words: a value (a double, or a native histogram) for each of its series."""

    members: list[Member]
    time_us: int
    values: list[float | dict[str, Any] | None]
    start_us: int
    stale: bool


def describe_points(decoded: Decoded, points: Sequence[int], reason: str) -> Iterator[str]:
    """Points of a request in words; none of those that cannot be told whole."""
    if reason not in WHOLE:
        return
    odd = {point.group: point for point in decoded.odd}
    for number in points:
        said = _odd(odd[number]) if number in odd else _columnar(decoded, number)
        if said is not None:
            yield words(said._replace(time_us=int(decoded.times_us[number])))


def _columnar(decoded: Decoded, number: int) -> Point | None:
    members = decoded.members(int(decoded.groups[number]))
    if isinstance(members, Refusal):
        return None
    rows = decoded.rows(np.array([number]), np.array([0]), np.arange(len(members)))
    values: list[Any] = [float(value) for value in rows.bits.view(np.float64)]
    return Point([members[place] for place in rows.series], 0, values, int(rows.starts_us[0]), bool(rows.stale[0]))


def _odd(point: OddPoint) -> Point | None:
    if isinstance(point.members, Refusal):
        return None
    if EXEMPLAR_ONLY in point.values:  # nothing was measured, so there is no point to send again
        return None
    values: list[Any] = [float(v.view(np.float64)) if isinstance(v, np.uint64) else v for v in point.values]
    return Point(point.members, 0, values, point.start_us, point.stale)


def words(point: Point) -> str:
    """A point as JSON."""
    first = point.members[0]
    identity = first.identity
    said: dict[str, Any] = {"name": identity.name}
    if point.time_us:
        said["time"] = _moment(point.time_us)
    if isinstance(point.values[0], dict):
        said["histogram"] = {key: _number(value) for key, value in point.values[0].items()}
    elif len(point.members) > 1 or identity.part:
        said["values"] = [
            [m.identity.part, _number(m.identity.bound), _number(value)]
            for m, value in zip(point.members, point.values, strict=True)
        ]
    elif not point.stale:
        said["value"] = _number(point.values[0])
    said |= {"labels": dict(identity.attributes), "resource": dict(identity.resource)}
    said |= {name: getattr(first if name in ("description", "scope") else identity, name) for name in _TEXTS}
    said |= {"start": _moment(point.start_us) if point.start_us else None, "stale": point.stale}
    return json.dumps({key: value for key, value in said.items() if not _is_empty(value)})


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", {})


def read_point(said: dict[str, Any]) -> Point:
    """The point that an object means. Raises InputError that names the field."""
    unknown = set(said) - FIELDS
    if unknown:
        raise _fault(sorted(unknown)[0], "is no field of a point", f"Fields: {', '.join(sorted(FIELDS))}.")
    name = said.get("name")
    if not isinstance(name, str) or not name:
        raise _fault("name", "is required: a text that is not empty")
    texts = {key: said.get(key, "") for key in _TEXTS}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise _fault(key, "must be a text")
    convention = texts["convention"] or "prometheus"
    type_ = texts["type"] or "unknown"
    resource, labels = (_pairs(said, side) for side in ("resource", "labels"))
    identity = Identity(convention, name, type_, texts["unit"], texts["temporality"], resource, labels)
    parts = _values(said)
    members = [
        Member(replace(identity, part=part, bound=bound), texts["description"], texts["scope"])
        for part, bound, _ in parts
    ]
    time_us, start_us = _time(said, "time"), _time(said, "start")
    if time_us is None:
        raise _fault("time", "is required", "As 2026-01-31T12:00:00Z.")
    return Point(members, time_us, [value for *_, value in parts], start_us or 0, said.get("stale") is True)


def _values(said: dict[str, Any]) -> list[tuple[str, float | None, Any]]:
    if isinstance(said.get("histogram"), dict):
        return [("", None, {key: _double(value, "histogram") for key, value in said["histogram"].items()})]
    if "values" in said:
        try:
            return [
                (str(part), None if bound is None else _double(bound, "values"), _double(value, "values"))
                for part, bound, value in said["values"]
            ]
        except (TypeError, ValueError):
            raise _fault("values", "must be a list of [part, bound, value]") from None
    if said.get("stale") is True:
        return [("", None, math.nan)]
    if "value" not in said:
        raise _fault("value", "is required")
    return [("", None, _double(said["value"], "value"))]


def _double(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [int(one) for one in value]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _fault(where, "must be a number")
    if isinstance(value, int) and where == "histogram":
        return value
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise _fault(where, f"{str(value)[:40]!r} is no number") from None


def _pairs(said: dict[str, Any], side: str) -> tuple[tuple[str, str], ...]:
    found = said.get(side, {})
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _fault(side, "must be an object of texts")
    return tuple(sorted((key, value) for key, value in found.items() if value or side == "resource"))


def _time(said: dict[str, Any], field: str) -> int | None:
    if field not in said:
        return None
    found = rfc3339_us(said[field])
    if found is None:
        raise _fault(field, "must be a time stamp as RFC 3339 has it", "As 2026-01-31T12:00:00Z.")
    return found


def _moment(time_us: int) -> str | None:
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except OverflowError:
        return None


def _number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return value


def _fault(field: str, message: str, hint: str = "") -> InputError:
    return InputError(message, where=field, hint=hint)
