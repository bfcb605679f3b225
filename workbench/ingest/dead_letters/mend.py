"""What is changed in a refused piece before it is sent again: a field renamed, set, left out, another time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from workbench.errors import InputError
from workbench.ingest.events import rfc3339_us
from workbench.ingest.pieces import FIELDS

_SHIFT = re.compile(r"([+-])(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBERS = frozenset({"value"})


@dataclass(frozen=True)
class Mend:
    """Changes of a piece, made in this order: `rename` old -> new, `put` field -> text, `drop` fields, then `time`.

    Of a point a name that is none of its fields is a label's, else a resource attribute's; of an event it is an
    attribute's, or with `data.` in front a member's of its data. `time` is RFC 3339, `now` or a shift as `+2h`.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    put: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    time: str = ""


def mended(piece: Mapping[str, Any], mend: Mend, now_us: int) -> dict[str, Any]:
    """The piece with all changes made. Raises InputError where a field to rename or drop is not there."""
    made = {key: dict(value) if isinstance(value, dict) else value for key, value in piece.items()}
    for old, new in mend.rename.items():
        _put(made, new, _take(made, old))
    for name, text in mend.put.items():
        _put(made, name, _number(text) if name in _NUMBERS and not _is_event(made) else text)
    for name in mend.drop:
        _take(made, name)
    if mend.time:
        made["time"] = _time(made.get("time"), mend.time, now_us)
    return made


def _is_event(piece: Mapping[str, Any]) -> bool:
    return "specversion" in piece or "source" in piece


def is_event(piece: Mapping[str, Any], door: str) -> bool:
    """Whether a piece is an event rather than a point."""
    return door == "events" or (door == "import" and _is_event(piece))


def _place(piece: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The object that holds a field, and its name there."""
    side, _, rest = name.partition(".")
    if rest and side in ("labels", "resource", "data") and isinstance(piece.setdefault(side, {}), dict):
        return piece[side], rest
    if _is_event(piece) or (name in FIELDS):
        return piece, name
    labels: dict[str, Any] = piece.setdefault("labels", {})
    resource: dict[str, Any] = piece.get("resource", {})
    return (resource, name) if name in resource and name not in labels else (labels, name)


def _take(piece: dict[str, Any], name: str) -> Any:
    holder, key = _place(piece, name)
    if key not in holder:
        known = [*piece, *piece.get("labels", {}), *piece.get("resource", {})]
        raise InputError("is not there", where=name, hint=f"The piece has {', '.join(map(str, known[:40]))}.")
    return holder.pop(key)


def _put(piece: dict[str, Any], name: str, value: Any) -> None:
    holder, key = _place(piece, name)
    holder[key] = value


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _time(said: Any, wanted: str, now_us: int) -> str:
    if wanted == "now":
        return _moment(now_us)
    shift = _SHIFT.fullmatch(wanted)
    if shift is None:
        if rfc3339_us(wanted) is None:
            hint = "Write it as 2026-01-31T12:00:00Z, `now` or a shift as +2h."
            raise InputError(f"{wanted!r} is no time", where="time", hint=hint)
        return wanted
    before_us = rfc3339_us(said)
    if before_us is None:
        raise InputError("there is no time to shift", where="time", hint="Give one as 2026-01-31T12:00:00Z or `now`.")
    sign = 1 if shift[1] == "+" else -1
    return _moment(before_us + sign * round(float(shift[2]) * _SECONDS[shift[3]] * 1e6))


def _moment(time_us: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    except OverflowError:
        raise InputError("the shift leads out of the calendar", where="time") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
