"""`/federate`: the newest samples of some series, as another Prometheus scrapes them.

Format: Prometheus' text exposition, 0.0.4, or 1.0.0 with quoted names for who accepts `escaping=allow-utf-8`; who does
not gets names with underscores. Staleness markers and native histograms cannot be written in it and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench import config
from workbench.errors import InputError
from workbench.query.endpoints.asked import Asked
from workbench.query.index import label_index
from workbench.query.promql.text import format_floats
from workbench.query.samples import Budget, is_stale, read

if TYPE_CHECKING:
    from workbench.query.names import Labels
    from workbench.store import View

PLAIN = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
UTF_8 = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"

_METRIC = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_NO_IDENTIFIER = re.compile("[^a-zA-Z0-9_:]")


def federate(view: View, asked: Asked, accept: str, limits: config.Query, budget: Budget) -> tuple[str, bytes]:
    """Media type and body: per series that any `match[]` selects the newest sample of the look-back, with its time.

    As Prometheus does, every metric is untyped, and a series without `instance` gets an empty one, so that who scrapes
    does not put his own in its place. Raises QuerySyntaxError, InputError, QueryLimit.
    """
    numbers = asked.matched(view)
    if numbers is None:
        raise InputError("no match[] parameter provided", where="match[]")
    index = label_index(view)
    rows = [index.rows[number] for number in numbers if index.rows[number].kind != "histogram"]
    start_us = asked.now_us - round(limits.lookback_seconds * 1e6) + 1
    found = read(view, rows, start_us, asked.now_us, budget)
    there = np.flatnonzero(np.diff(found.offsets))
    last = found.offsets[there + 1] - 1
    kept = ~is_stale(found.values[last])
    there, last = there[kept], last[kept]
    utf_8 = "escaping=allow-utf-8" in accept.replace(" ", "")
    values = format_floats(found.values[last].tolist())
    times_ms = (found.times_us[last] // 1000).tolist()
    labels = [found.labels[place] for place in there]
    return (UTF_8 if utf_8 else PLAIN), _text(labels, values, times_ms, utf_8=utf_8)


def _text(labels: Sequence[Labels], values: Sequence[str], times_ms: Sequence[int], *, utf_8: bool) -> bytes:
    lines: list[str] = []
    named = [(dict(found).get("__name__", ""), place) for place, found in enumerate(labels)]
    before = None
    for name, place in sorted(pair for pair in named if pair[0]):
        if name != before:
            lines.append(f"# TYPE {_name(name, _METRIC, utf_8=utf_8)} untyped")
            before = name
        pairs = [(label, value) for label, value in labels[place] if label != "__name__"]
        if all(label != "instance" for label, _ in pairs):
            pairs.append(("instance", ""))
        inside = ",".join(f'{_name(label, _LABEL, utf_8=utf_8)}="{_escaped(value)}"' for label, value in pairs)
        shown = _name(name, _METRIC, utf_8=utf_8)
        head = f"{{{shown},{inside}}}" if shown.startswith('"') else f"{shown}{{{inside}}}"
        lines.append(f"{head} {values[place]} {times_ms[place]}")
    return "".join(f"{line}\n" for line in lines).encode()


def _name(name: str, identifier: re.Pattern[str], *, utf_8: bool) -> str:
    if identifier.fullmatch(name):
        return name
    if utf_8:
        return f'"{_escaped(name)}"'
    plain = _NO_IDENTIFIER.sub("_", name)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
