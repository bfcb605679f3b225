"""Erasure: every row of some series goes, from samples and roll-ups, and with them every version that names one.

It goes before pins: a report that pinned such a version can be read, not run again. A hold goes before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from workbench.errors import HoldConflict, StoreError
from workbench.schema import TABLES
from workbench.store import parquet
from workbench.store.lake import Lake
from workbench.store.lifecycle.rules import holds_on, read_rules
from workbench.store.registry import series_rows


def erase_series(lake: Lake, ids: Sequence[int]) -> dict[str, int]:
    """Erase all sealed rows of some series; table -> rows. What is still in the log is sealed first by the caller.

    The files go as soon as no reader can still be at them. Raises HoldConflict, with nothing done, where a hold forbids
    it, and StoreError while a seal is half done. A kill leaves some rows; the same call erases the rest.
    """
    wanted = np.unique(np.asarray(ids, np.int64))
    if not len(wanted):
        return {}
    lake.refresh()
    meant = [row for row in series_rows(lake.table("series")) if row.id in set(wanted.tolist())]
    for rule, one in holds_on(read_rules(lake.settings), meant):
        raise HoldConflict(
            f"hold {rule.name!r} ({rule.hold}) forbids to erase {one.identity.name}",
            where=f"series {one.id}",
            hint="Lift the hold in workbench.toml first.",
        )
    done: dict[str, int] = {}
    for name in (name for name, kind in TABLES.items() if kind.by_series and lake.path(name).exists()):
        for file in lake.newest_files(name):
            if (
                file.series is None
                or parquet.holds_any(np.array(file.series[:1]), np.array(file.series[1:]), wanted)[0]
            ):
                done[name] = done.get(name, 0) + _without(lake, name, file, wanted)
    if any(done.values()):
        for version in lake.manifests.ids()[:-1]:
            lake.manifests.remove(version)
    return done


def _without(lake: Lake, name: str, file: parquet.DataFile, ids: np.ndarray) -> int:
    kind, folder = TABLES[name], lake.path(name)
    rows = parquet.read_rows(str(folder / file.path), kind, parquet.file_schema(kind).names)
    goes = np.isin(rows["series"].to_numpy(), ids)
    if not goes.any():
        return 0
    made = []
    if not goes.all():
        prefix = file.name.split("-", maxsplit=1)[0]
        made.append(parquet.write_file(folder, kind, rows.filter(pa.array(~goes)), day=file.day, prefix=prefix))
    if not lake.replace(name, add=made, remove=[file], erase=True):
        parquet.discard_files(folder, made)
        raise StoreError("the lake is being written; some rows are not erased yet", where=name, hint="Erase again.")
    return int(goes.sum())
