"""Values as people type them: points in time, durations, pairs, parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from workbench.errors import InputError

UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_RELATIVE = re.compile(r"(?:now)?\s*([+-])\s*(\S+)")


def parse_duration(text: str, *, where: str = "duration") -> float:
    """Seconds of `90`, `1.5`, `30s`, `5m`, `1h30m`, `30d`; more than 0. Raises InputError."""
    text = text.strip()
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)
    else:
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0
    if not 0 < seconds < 1e11:
        raise InputError(f"{text!r} is no duration", where=where, hint="Write it as 30s, 5m, 1h30m, 30d or in seconds.")
    return seconds


def parse_time(text: str, now_us: int, *, where: str = "time") -> int:
    """Microseconds since 1970 UTC of `now`, `-1h`, `now-1h`, Unix seconds or RFC 3339 (UTC without a zone).

    Raises InputError.
    """
    text = text.strip()
    if text == "now":
        return now_us
    if relative := _RELATIVE.fullmatch(text):
        offset_us = round(parse_duration(relative[2], where=where) * 1_000_000)
        return now_us + (offset_us if relative[1] == "+" else -offset_us)
    try:
        return _bounded(round(float(text) * 1_000_000))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text!r} is no time", where=where, hint="Write it as 2026-11-24T08:00:00Z, Unix seconds, now or -1h."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def parse_pairs(texts: Iterable[str], *, where: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a dict. Raises InputError for one without `=`, without a name or given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InputError(f"{text!r} is no pair", where=where, hint="Write it as NAME=VALUE.")
        if name in found:
            raise InputError(f"{name!r} is given twice", where=where)
        found[name] = value
    return found


def parse_scalar(text: str) -> str | int | float | bool:
    """A number (`3`, `2.5`, `1e3`) or `true`/`false` as such, everything else as the text it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, bool)) else text


def _bounded(time_us: int) -> int:
    if abs(time_us) > 2**62:
        raise OverflowError
    return time_us
