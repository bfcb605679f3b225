"""Exemplars among rows of `samples`: few, so they are kept apart where the log is followed."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from workbench.schema import KINDS

COLUMNS = ("series", "time", "type", "exemplar", "segment", "row")
"""What of `samples` has to be read for them."""

SHOWN = pa.schema([KINDS["samples"].schema.field(name) for name in ("series", "time", "exemplar")])
"""What is told of them: the series, the time of the sample that bears it, the exemplar."""

_STORED = pa.schema([KINDS["samples"].stored.field(name) for name in COLUMNS])


def exemplars_of(rows: pa.Table) -> pa.Table:
    """The rows that bear an exemplar, with the columns COLUMNS."""
    return rows.filter(pc.is_valid(rows["exemplar"])).select(COLUMNS).cast(_STORED)
