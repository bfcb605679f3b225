"""Times and durations as people and clients write them -> int64 microseconds since 1970 UTC."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any

from workbench.errors import InputError
from workbench.query.promql.text import parse_duration

Moment = str | float | datetime | Any
"""A time: seconds since 1970, RFC 3339 text, a day, `now`, `now-1h`, `-1h`, a datetime, numpy's or pandas' kind."""

_RELATIVE = re.compile(r"(?:now)?\s*(?:([+-])\s*([0-9a-z]+))?")
# The years that datetime64[us] and Python's datetime both hold.
_BOUND_SECONDS = 253_402_300_800


def moment_us(value: Moment, now_us: int, *, name: str = "time") -> int:
    """Microseconds of a time; text without a zone is UTC. Raises InputError, naming the parameter."""
    if isinstance(value, str):
        return _from_text(value.strip(), now_us, name)
    if hasattr(value, "astype"):  # numpy.datetime64
        value = value.astype("datetime64[us]").item()
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)
    return _from_seconds(float(value), str(value), name)


def duration_us(value: str | float, *, name: str = "step") -> int:
    """Microseconds of a duration: seconds as a number, or text such as `1h30m`. Raises InputError."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if isinstance(value, str) and math.isnan(seconds):
        try:
            return parse_duration(value.strip())
        except Exception as error:
            raise InputError(
                f"cannot parse {value!r} to a valid duration", where=name, hint="E.g. 15s, 5m or 1h30m."
            ) from error
    if not abs(seconds) < _BOUND_SECONDS:
        raise InputError(f"cannot parse {str(value)!r} to a valid duration", where=name, hint="It overflows.")
    return round(seconds * 1e6)


def show_us(time_us: int) -> str:
    """A time for people, in UTC, to the second."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def rfc3339(time_us: int) -> str:
    """A time as RFC 3339 writes it, in UTC, to the second."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _from_text(text: str, now_us: int, name: str) -> int:
    relative = _RELATIVE.fullmatch(text) if text else None
    if relative:
        sign, span = relative.groups()
        return now_us + (duration_us(span, name=name) * (-1 if sign == "-" else 1) if span else 0)
    try:
        return _from_seconds(float(text), text, name)
    except ValueError:
        pass
    try:
        return moment_us(datetime.fromisoformat(text), now_us)
    except ValueError:
        raise InputError(
            f"cannot parse {text!r} to a valid timestamp",
            where=name,
            hint="Seconds since 1970, RFC 3339 (2026-11-24T08:00:00Z), or now-1h.",
        ) from None


def _from_seconds(seconds: float, shown: str, name: str) -> int:
    if not abs(seconds) < _BOUND_SECONDS:
        raise InputError(f"cannot parse {shown!r} to a valid timestamp", where=name)
    return round(seconds * 1e6)
