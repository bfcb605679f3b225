"""What people write in a schedule: durations, days that move with the clock, and values typed by the notebook."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from workbench.errors import InputError

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DAY = re.compile(r"(today|yesterday)(?:\s*-\s*(\d{1,4})d)?")
TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}


def seconds_of(text: Any) -> int:
    """Seconds of `90`, `30s`, `10m`, `2h`, `1d`; at least 1. Raises InputError."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", str(text).strip())
    seconds = int(match[1]) * UNIT_SECONDS[match[2] or "s"] if match and not isinstance(text, bool) else 0
    if not seconds:
        raise InputError(f"{text!r} is no duration", hint="Write it as 30s, 10m, 2h or 1d.")
    return seconds


def day_of(text: str, moment: datetime) -> date:
    """The day that `today`, `yesterday`, `today-7d` or `2026-11-24` means at a moment (which has its zone).

    Raises InputError.
    """
    if match := _DAY.fullmatch(text.strip()):
        return moment.date() - timedelta(days=int(match[2] or 0) + (match[1] == "yesterday"))
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"{text!r} is no day", hint="Write it as today, yesterday, today-7d or 2026-11-24.") from None


def moving(value: Any) -> str | None:
    """The words of a value that is written `{date: today-7d}`, and moves with the clock; None for a plain one."""
    if isinstance(value, Mapping) and list(value) == ["date"]:
        return str(value["date"])
    return None


def resolved(parameters: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """The values of a run that was due at a moment: days as texts, everything else as it is."""
    return {
        name: value if (words := moving(value)) is None else day_of(words, moment).isoformat()
        for name, value in parameters.items()
    }


def parameters_of(notebook: Path) -> dict[str, Any] | None:
    """The parameters of a notebook with their defaults, in order; None where no cell is tagged `parameters`.

    A default that is no literal is given as Ellipsis. Raises InputError for a file that is no notebook, or a cell that
    is not Python. Read as plain JSON: who only checks a schedule need not load the notebook's format.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError("is no notebook that can be read", where=notebook.name) from None
    if not tagged:
        return None
    source = tagged[0].get("source", "")
    try:
        tree = ast.parse(source if isinstance(source, str) else "".join(source))
    except SyntaxError as error:
        raise InputError(f"its cell of parameters is not Python: {error.msg}", where=notebook.name) from None
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        found |= {target.id: _literal(value) for target in targets if isinstance(target, ast.Name)}
    return found


def wrong_type(value: Any, default: Any) -> str:
    """Why a value cannot take the place of a notebook's default; empty where it can."""
    if default is ... or default is None or moving(value) is not None:
        return ""
    wanted: type = type(default)
    fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    if fits or (wanted is float and isinstance(value, int) and not isinstance(value, bool)):
        return ""
    return f"must be {TYPES.get(wanted, wanted.__name__)} as in the notebook ({default!r}), not {value!r}"


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...
