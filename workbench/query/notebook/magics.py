"""`%promql`, `%%promql`, `%sql` and `%%sql`: ask, show a table and a chart, keep the answer in a variable."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import HTML, display

from workbench.errors import InputError
from workbench.query.index import label_index
from workbench.query.notebook.chart import draw, lines_of_frame, lines_of_result
from workbench.query.notebook.tables import as_html, table_of_result
from workbench.query.open import Workbench, open_workbench

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.query.result import Result


@magics_class
class WorkbenchMagics(Magics):  # type: ignore[misc]
    """The magics. They ask `wb` where it is a workbench, else the default one, which they call `wb`."""

    @line_cell_magic
    def promql(self, line: str, cell: str | None = None) -> xr.DataArray | None:
        """Ask in PromQL.

        `%promql EXPR` asks for the newest values and gives an xarray: `now = %promql sum(up)`.

        `%%promql [NAME] [--start T] [--end T] [--step S] [--time T]` asks what stands below it, shows a table and,
        of a range, a chart, and keeps the xarray as NAME. Times are UTC: `now-1h`, `2026-11-24T08:00`.
        """
        wb = self._workbench()
        if cell is None:
            return wb.query(line)
        asked = _arguments("%%promql", line, times=True)
        expr = cell.strip()
        result = wb.result(expr, time=asked.time, start=asked.start, end=asked.end, step=asked.step)
        if result.kind == "string":
            display(result.text)
            return None
        display(HTML(as_html(table_of_result(result), "series")))
        if result.kind == "matrix" and len(result):
            display(draw(expr, lines_of_result(result), unit=_unit(wb, result), of=len(result)))
        self._keep(asked.name, result.to_xarray())
        return None

    @line_cell_magic
    def sql(self, line: str, cell: str | None = None) -> pd.DataFrame | None:
        """Ask in SQL.

        `%sql SELECT …` gives a pandas frame. `%%sql [NAME]` asks what stands below it, shows a table and, of numbers
        over time, a chart, and keeps the frame as NAME.
        """
        wb = self._workbench()
        if cell is None:
            return wb.sql(line)
        asked = _arguments("%%sql", line, times=False)
        frame = wb.sql(cell)
        display(HTML(as_html(frame, "rows")))
        lines = lines_of_frame(frame)
        if lines:
            display(draw(", ".join(map(str, frame.columns)), lines))
        self._keep(asked.name, frame)
        return None

    def _workbench(self) -> Workbench:
        found = self.shell.user_ns.get("wb")
        if not isinstance(found, Workbench):
            found = open_workbench()
            self.shell.user_ns["wb"] = found
        return found

    def _keep(self, name: str, value: Any) -> None:
        if name:
            self.shell.user_ns[name] = value


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise InputError(message, where=self.prog, hint=self.format_usage().strip())


def _arguments(magic: str, line: str, *, times: bool) -> argparse.Namespace:
    parser = _Parser(prog=magic, add_help=False)
    parser.add_argument("name", nargs="?", default="")
    if times:
        for flag in ("--time", "--start", "--end", "--step"):
            parser.add_argument(flag)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(str(error), where=magic) from error
    found = parser.parse_args(words)
    if found.name and not found.name.isidentifier():
        raise InputError(f"{found.name!r} is no name for a variable", where=magic, hint="The question stands below.")
    return found


def _unit(wb: Workbench, result: Result) -> str:
    """The unit of the values, where all are of one metric."""
    names = {labels.get("__name__", "") for labels in result.labels}
    if len(names) != 1 or "" in names:
        return ""
    return label_index(wb.view).metadata(names.pop())[1]
