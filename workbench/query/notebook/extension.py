"""Ties the workbench to IPython; `%load_ext workbench` comes here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.query.index import LabelIndex, label_index
from workbench.query.notebook import faults
from workbench.query.notebook.bar import bar
from workbench.query.notebook.completion import Name, meaning, promql_names, sql_names
from workbench.query.notebook.magics import WorkbenchMagics
from workbench.query.open import Workbench, open_workbench
from workbench.query.waiting import show_waiting

_QUOTED = re.compile(r"""\.(?:query|result|select)\(\s*(?P<quote>["']{1,3})(?P<text>[^\n]*)$""")
_SQL_QUOTED = re.compile(r"""\.sql\(\s*(?P<quote>\"""|\'\'\'|["'])(?P<text>.*)$""", re.DOTALL)


_HOLOVIEWS_RC = Path(__file__).with_name("holoviews_rc.py")


def load_extension(shell: Any) -> None:
    """Register magics, completion, help on metrics, bars and plain errors with a shell."""
    os.environ.setdefault("HOLOVIEWSRC", str(_HOLOVIEWS_RC))  # read when hvplot is imported, which takes seconds
    shell.register_magics(WorkbenchMagics)
    shell.set_custom_exc((WorkbenchError,), faults.show)
    names = _Names(shell)
    shell.Completer.custom_matchers.insert(0, names.matcher())
    shell.object_inspect_mime = names.inspecting(shell.object_inspect_mime)
    show_waiting(bar)
    from dask.diagnostics import ProgressBar

    ProgressBar(minimum=1.0).register()


class _Names:
    """Completion and help over the names of the workbench that the notebook asks."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def index(self) -> LabelIndex | None:
        """The names there are; None where no workbench can be read."""
        try:
            found = self._shell.user_ns.get("wb")
            wb = found if isinstance(found, Workbench) else open_workbench()
            wb.view.refresh()
            return label_index(wb.view)
        except WorkbenchError:
            return None

    def matcher(self) -> Any:
        """IPython's matcher: it answers alone where the cursor is in a question to the workbench."""
        from IPython.core.completer import SimpleCompletion, context_matcher

        @context_matcher(identifier="workbench")
        def workbench_matcher(context: Any) -> Any:
            begun, names = self.at(context.full_text, _before(context))
            return {
                "completions": [SimpleCompletion(name.text, type=name.kind) for name in names],
                "suppress": bool(names),
                "matched_fragment": begun,
                "ordered": True,
            }

        return workbench_matcher

    def at(self, text: str, before: str) -> tuple[str, list[Name]]:
        """The begun word, and what it may become, in a cell whose text before the cursor is `before`."""
        language, question = _question(before)
        index = self.index() if language else None
        if index is None:
            return "", []
        return promql_names(index, question) if language == "promql" else sql_names(index, text, question)

    def inspecting(self, inspect: Any) -> Any:
        """IPython's inspection, which knows metrics too (Shift-Tab, and beside the list of completions)."""

        def object_inspect_mime(name: str, detail_level: int = 0, omit_sections: Any = ()) -> Any:
            try:
                return inspect(name, detail_level, omit_sections)
            except KeyError:
                index = self.index()
                text = meaning(index, name) if index is not None else ""
                if not text:
                    raise
                return {"text/plain": text}

        return object_inspect_mime


def _before(context: Any) -> str:
    lines = context.full_text.split("\n")
    return "\n".join([*lines[: context.cursor_line], context.text_until_cursor])


def _question(before: str) -> tuple[str, str]:
    """Language and text of the question that the cursor is in; ("", "") where it is in none."""
    head, newline, rest = before.partition("\n")
    if newline and (magic := re.match(r"\s*%%(promql|sql)\b", head)):
        return magic[1], rest
    line = before.rpartition("\n")[2]
    if magic := re.search(r"(?:^|=)\s*%(promql|sql)\s+(.*)$", line):
        return magic[1], magic[2]
    if (quoted := _QUOTED.search(line)) and quoted["quote"][0] not in quoted["text"].replace('\\"', ""):
        return "promql", quoted["text"]
    if (quoted := _SQL_QUOTED.search(before)) and quoted["quote"] not in quoted["text"]:
        return "sql", quoted["text"]
    return "", ""
