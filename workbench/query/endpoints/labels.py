"""`/series`, `/labels`, `/label/<name>/values` and `/metadata`: what there is to ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InputError
from workbench.query.endpoints.asked import Asked
from workbench.query.endpoints.presence import present
from workbench.query.index import label_index
from workbench.query.samples import Budget

if TYPE_CHECKING:
    from workbench.store import View

ESCAPED = "U__"
"""What a label name begins with that is written in the characters of an identifier (Prometheus' values escaping)."""

_PART = re.compile("_(bucket|sum|count|total)$")
_ESCAPE = re.compile("__|_([0-9A-Fa-f]{1,8})_|_")


def series(view: View, asked: Asked, budget: Budget) -> tuple[list[dict[str, str]], list[str]]:
    """Label sets of the series that any selector matches in the time asked for; warnings. Raises InputError."""
    rows = asked.matched(view)
    if rows is None:
        raise InputError("no match[] parameter provided", where="match[]")
    found, warnings = asked.cut(list(present(view, rows, asked.span_us(), budget)))  # type: ignore[arg-type]
    index = label_index(view)
    return [dict(index.rows[row].labels) for row in found], warnings


def labels(view: View, asked: Asked, budget: Budget) -> tuple[list[str], list[str]]:
    """Names of labels, sorted; warnings."""
    index = label_index(view)
    rows = present(view, asked.matched(view), asked.span_us(), budget)
    names = index.labels() if rows is None else sorted({name for row in rows for name, _ in index.rows[row].labels})
    return asked.cut(names)


def label_values(view: View, asked: Asked, name: str, budget: Budget) -> tuple[list[str], list[str]]:
    """Values of a label, sorted; warnings. The name may be escaped (`U__http_2e_route` is `http.route`)."""
    rows: np.ndarray | None = present(view, asked.matched(view), asked.span_us(), budget)
    return asked.cut(label_index(view).values(unescaped(name), rows))


def metadata(view: View, asked: Asked, told: Mapping[str, tuple[str, str, str]]) -> dict[str, Any]:
    """Metric -> list of type, unit and help: one entry each, as a metric has one description here.

    `told` has what senders said apart from the samples; it counts where the series do not say it themselves.
    """
    index = label_index(view)
    known: dict[str, tuple[str, str, str]] = {}
    for name in index.families():
        own = index.metadata(name)
        family = next((one for one in (name, _PART.sub("", name)) if one in told), None)
        if own[0] == "unknown" and family is not None:
            known[family] = told[family]
        else:
            known[name] = own
    wanted = asked.get("metric")
    names, _ = asked.cut([name for name in sorted(known) if not wanted or name == wanted])
    return {name: [dict(zip(("type", "unit", "help"), known[name], strict=True))] for name in names}


def unescaped(name: str) -> str:
    """A label name as it is: without Prometheus' values escaping, where it has it and it is whole."""
    if not name.startswith(ESCAPED):
        return name
    broken = False

    def character(match: re.Match[str]) -> str:
        nonlocal broken
        text = match.group()
        if text == "__":
            return "_"
        code = int(match.group(1), 16) if match.group(1) else -1
        if not 0 <= code < 0x110000 or 0xD800 <= code < 0xE000:
            broken = True
            return text
        return chr(code)

    found = _ESCAPE.sub(character, name.removeprefix(ESCAPED))
    return name if broken else found
