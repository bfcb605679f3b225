"""What DuckDB has against a statement, in our words: the place, what there is instead, what to do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from workbench.errors import QueryError, QueryLimit, QuerySyntaxError

CLOSED = "A statement reads the workbench's tables and nothing else: no files, no network, no extensions."


def as_ours(error: Exception, text: str, tables: Sequence[str], memory_bytes: int) -> QueryError:
    """The error to raise for one of DuckDB's about a statement. DuckDB was told to give its errors as JSON."""
    known = _details(error)
    kind, message = known.get("exception_type", ""), _first_line(known.get("exception_message", str(error)))
    hint = ""
    if kind == "Permission":
        message, hint = "that is not open to a statement", CLOSED
    elif kind == "Out of Memory":
        return QueryLimit(
            f"the statement needs more than {memory_bytes // 2**20:,} MiB of memory",
            hint="Aggregate or filter more, or raise query.sql_memory_bytes.",
        )
    elif kind == "Catalog" and known.get("type") == "Table":
        message = f"there is no table {known.get('name')!r}"
        hint = _nearest(str(known.get("name")), tables) or f"There are: {', '.join(tables)}."
    elif known.get("candidates"):
        names = re.split(r",\s*", str(known["candidates"]))
        hint = _nearest(str(known.get("name", "")), names) or f"There are: {', '.join(names[:12])}."
    elif kind == "Invalid Input" and "parameters" in message:
        message, hint = "the statement has parameters (? or $1)", "Write the values into it."
    position = known.get("position")
    if position is None:
        return QueryError(message, where="sql", hint=hint)
    return QuerySyntaxError(message, position=_characters(text, int(position)), hint=hint)


def pointed_at(text: str, position: int) -> str:
    """The line of a statement or expression that holds a character, and a mark below it."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)]
    return f"{line}\n{' ' * (position - start)}^"


def _details(error: Exception) -> dict[str, Any]:
    _, brace, rest = str(error).partition("{")
    try:
        found: dict[str, Any] = json.loads(brace + rest)
    except ValueError:
        return {}
    return found


def _first_line(message: str) -> str:
    line = message.strip().split("\n")[0].rstrip("!.")
    return line[:1].lower() + line[1:]


def _nearest(name: str, names: Sequence[str]) -> str:
    found = difflib.get_close_matches(name.lower(), names, n=1)
    return f"Did you mean {found[0]!r}?" if found else ""


def _characters(text: str, count_bytes: int) -> int:
    """Characters of the first bytes of a text: DuckDB counts bytes."""
    return len(text.encode()[:count_bytes].decode("utf-8", "ignore"))
