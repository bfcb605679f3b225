"""Intake's way to a table: log and lake read as one, one row per key, as a lazy Dask frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
from intake.readers.readers import BaseReader

from workbench import config
from workbench.errors import InputError
from workbench.query.days import partitions
from workbench.query.views import view_of
from workbench.schema import KINDS

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

    from workbench.query.broker import BrokerView
    from workbench.store import Reader


class LakeTable(BaseReader):  # type: ignore[misc]
    """A table of the lake, with what the log holds beyond it. Needs no running workbench.

    Arguments: `kind`; `lake_home` (empty: WORKBENCH_HOME or the default); `lake_version` (empty: the newest, log
    included); `columns` (default: all).
    """

    imports: ClassVar[set[str]] = {"dask", "workbench"}
    output_instance = "dask.dataframe:DataFrame"

    def _read(
        self, kind: str = "", lake_home: str = "", lake_version: str = "", columns: list[str] | None = None, **_: Any
    ) -> dd.DataFrame:
        """A Dask frame, one partition per UTC day (tables without a time: one)."""
        import dask.dataframe as dd

        if kind not in KINDS:
            raise InputError(f"no table {kind!r}", hint=f"There are: {', '.join(KINDS)}.")
        names = list(columns or KINDS[kind].schema.names)
        schema = pa.schema([KINDS[kind].schema.field(name) for name in names])
        starts, ends = partitions(_view(lake_home, lake_version), kind)
        return dd.from_map(
            _partition, starts, ends, home=lake_home, version=lake_version, kind=kind, columns=names,
            meta=to_pandas(schema.empty_table()), label=f"workbench-{kind}",
        )  # fmt: skip

    def discover(self, **kwargs: Any) -> pd.DataFrame:
        """The first rows."""
        return self.read(**kwargs).head()


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas, with types that do not depend on what is in it.

    Maps, lists and structs stay Arrow's; whole numbers and truths that may be missing get pandas' nullable types.
    """
    import pandas as pd

    def dtype(field: pa.Field) -> Any:
        if pa.types.is_nested(field.type):
            return pd.ArrowDtype(field.type)
        if field.nullable and (pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)):
            return pd.BooleanDtype() if pa.types.is_boolean(field.type) else pd.Int64Dtype()
        return None

    columns = {
        field.name: table.column(field.name).to_pandas(types_mapper=lambda _, field=field: dtype(field))
        for field in table.schema
    }
    return pd.DataFrame(columns)


def _view(home: str, version: str) -> Reader | BrokerView:
    return view_of(config.load(Path(home).expanduser() if home else None), version or None)


def _partition(
    start_us: int | None, end_us: int | None, *, home: str, version: str, kind: str, columns: list[str]
) -> pd.DataFrame:
    view = _view(home, version)
    return to_pandas(view.table(kind, start_us=start_us, end_us=end_us, columns=columns))
