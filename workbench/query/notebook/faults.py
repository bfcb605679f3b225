"""An error of ours in a notebook: what was wrong, the place, what to do; no stack, which would be ours alone."""

from __future__ import annotations

from typing import Any

from workbench.errors import WorkbenchError


def as_lines(error: WorkbenchError) -> list[str]:
    """The lines to show: kind and message, then the place in the text (a note of the error), then the hint."""
    head = f"{error.code}: {error.message}"
    notes = [line for note in getattr(error, "__notes__", ()) for line in note.split("\n")]
    if not notes and error.where:
        head += f" ({error.where})"
    return [head, *(f"    {line}" for line in notes), *([error.hint] if error.hint else [])]


def show(shell: Any, kind: type, error: BaseException, trace: Any, tb_offset: int | None = None) -> list[str]:
    """IPython's handler of our errors: the cell has failed all the same, for Papermill and nbval too."""
    assert isinstance(error, WorkbenchError)
    first, *rest = as_lines(error)
    lines = [f"\x1b[31m{first}\x1b[0m", *rest]
    shell._showtraceback(kind, error, lines)
    return lines
