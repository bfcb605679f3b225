"""Numbers and ages as people read them. `web/src/units.ts` says the same in the browser; a test holds them equal."""

from __future__ import annotations

import math

UNITS = ("", "ratio", "bytes", "bytes/s", "seconds", "per_second", "usd/h", "count", "load")

_DECIMAL = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


def format_value(value: float | None, unit: str) -> str:
    """A value with its unit, three significant digits; `–` where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if unit == "ratio":
        return f"{_digits(value * 100)} %"
    if unit in ("bytes", "bytes/s"):
        suffix = "/s" if unit == "bytes/s" else ""
        for size, name in _BINARY:
            if abs(value) >= size:
                return f"{_digits(value / size)} {name}{suffix}"
        return f"{_digits(value)} B{suffix}"
    if unit == "seconds":
        return _seconds(value)
    if unit == "per_second":
        return f"{_scaled(value)}/s"
    if unit == "usd/h":
        return f"${_scaled(value) if abs(value) >= 1e4 else f'{value:.2f}'}/h"
    if unit == "count" and abs(value) < 1e4:
        return _digits(value) if value != round(value) else f"{value:.0f}"
    return _scaled(value)


def format_age(age_us: int | None) -> str:
    """How old a datum is, in words."""
    if age_us is None:
        return "no data"
    seconds = max(age_us, 0) / 1e6
    if seconds < 2:
        return "just now"
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {name} ago"
    return f"{int(seconds)} s ago"


def format_duration(seconds: float) -> str:
    """A span in words: `15 minutes`, `1 hour`, `60 days`."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def _digits(value: float) -> str:
    size = abs(value)
    if size < 1e-9:
        return "0"
    decimals = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.0995 else 1 - math.floor(math.log10(size))
    return f"{value:.{decimals}f}"


def _scaled(value: float) -> str:
    for size, name in _DECIMAL:
        if abs(value) >= size:
            return f"{_digits(value / size)} {name}"
    return _digits(value)


def _seconds(value: float) -> str:
    size = abs(value)
    if size >= 7200:
        return f"{_digits(value / 3600)} h"
    if size >= 120:
        return f"{_digits(value / 60)} min"
    if size >= 1 or size == 0:
        return f"{_digits(value)} s"
    if size >= 1e-3:
        return f"{_digits(value * 1e3)} ms"
    return f"{_digits(value * 1e6)} µs"
