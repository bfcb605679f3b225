"""What a workbench says of itself in a notebook: what is there, its tables, and how to begin."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.query.index import label_index
from workbench.query.relational.tables import MEANINGS
from workbench.query.times import show_us

if TYPE_CHECKING:
    from workbench.query.open import Workbench

_LEFT = "style='text-align:left'"


def as_text(wb: Workbench) -> str:
    """For terminals."""
    calls = (f"  {call:<52} {what}" for call, what in _calls(wb))
    tables = (f"  {name:<14} {meaning}" for name, meaning in MEANINGS.items())
    return "\n".join([_facts(wb), *calls, "Tables, for wb.sql:", *tables])


def as_html(wb: Workbench) -> str:
    """For notebooks; the tables can be folded away."""
    return (
        f"<p><b>{html.escape(_facts(wb))}</b></p>{_table(('ask', 'for'), _calls(wb))}"
        f"<details open><summary>Tables, for <code>wb.sql</code></summary>"
        f"{_table(('table', 'what a row is'), list(MEANINGS.items()))}</details>"
    )


def _facts(wb: Workbench) -> str:
    wb.view.refresh()
    newest, version = wb.view.latest_us, wb.view.lake_version
    parts = [
        f"Workbench at {wb.settings.home}",
        f"{len(wb.view.registry):,} series",
        f"newest sample {show_us(newest)}" if newest else "no recent samples",
        f"lake version {version}{' (pinned)' if wb.pinned else ''}" if version else "nothing sealed yet",
    ]
    return ", ".join(parts)


def _calls(wb: Workbench) -> list[tuple[str, str]]:
    names = label_index(wb.view).names()
    name = next((found for found in names if "cpu" in found), names[0] if names else "up")
    return [
        (f'wb.query("{name}")', "newest values, as xarray"),
        (f'wb.query("avg({name})", start="now-1h")', "the last hour, as xarray"),
        (f'wb.select("{name}").to_pandas()', "samples as stored"),
        ('wb.sql("SELECT * FROM metrics")', "any table, in SQL, as pandas"),
        ("wb.metrics()", f"the {len(names):,} metrics there are"),
        ('wb.events(start="now-1d")', "what happened"),
        ('wb.catalog["samples"].read()', "any table, as a lazy Dask frame"),
    ]


def _table(head: Sequence[str], rows: Sequence[tuple[str, str]]) -> str:
    heads = "".join(f"<th scope='col' {_LEFT}>{html.escape(text)}</th>" for text in head)
    body = "".join(
        f"<tr><td {_LEFT}><code>{html.escape(first)}</code></td><td {_LEFT}>{html.escape(second)}</td></tr>"
        for first, second in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
