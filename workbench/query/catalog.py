"""The Intake 2 catalog of the lake's tables, made from `schema.KINDS` so that it cannot lag.

`python -m workbench.query.catalog` prints what `catalogs/workbench.yaml` holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.schema import KINDS, Kind

if TYPE_CHECKING:
    from intake.readers.entry import Catalog

_HEAD = """# Every table of the lake, with the log read beyond it. Made by `python -m workbench.query.catalog`.
#   import intake
#   cat = intake.open_catalog("catalogs/workbench.yaml")   # or workbench.open().catalog
#   cat["samples"].read()                                  # a lazy Dask frame
#   cat(home="/some/home", version="…")["events"].read()   # another home, a named lake version
"""
_PARAMETER = "intake.readers.user_parameters:SimpleUserParameter"


def catalog(home: str = "", version: str = "") -> Catalog:
    """The catalog of a home (empty: WORKBENCH_HOME or the default) at a lake version (empty: the newest)."""
    from intake.readers.entry import Catalog

    return Catalog.from_dict(as_dict())(home=home, version=version)


def as_dict() -> dict[str, Any]:
    """The catalog as Intake's YAML has it."""
    return {
        "version": 2,
        "metadata": {"title": "Workbench", "summary": "Tables of the lake; times are UTC."},
        "user_parameters": {
            "home": _parameter("Where the workbench keeps its data; empty: WORKBENCH_HOME, else the default."),
            "version": _parameter("Lake version to read; empty: the newest, with the log."),
        },
        "data": {},
        "aliases": {name: name for name in KINDS},
        "entries": {name: _entry(kind) for name, kind in KINDS.items()},
    }


def as_yaml() -> str:
    """The text of `catalogs/workbench.yaml`."""
    import yaml

    return _HEAD + yaml.safe_dump(as_dict(), sort_keys=False, allow_unicode=True, width=120)


def _parameter(description: str) -> dict[str, Any]:
    return {"cls": _PARAMETER, "dtype": "str", "default": "", "description": description}


def _entry(kind: Kind) -> dict[str, Any]:
    return {
        "reader": "workbench.query.readers:LakeTable",
        "output_instance": "dask.dataframe:DataFrame",
        "kwargs": {"kind": kind.name, "lake_home": "{home}", "lake_version": "{version}"},
        "user_parameters": {},
        "metadata": {
            "meaning": kind.meaning,
            "owner": kind.owner,
            "classification": kind.classification,
            "retention_days": kind.retention_days,
            "key": list(kind.key),
            "time": kind.time or None,
            "columns": {column.name: column.meaning for column in kind.columns},
            "units": {column.name: column.unit for column in kind.columns if column.unit},
        },
    }


if __name__ == "__main__":
    print(as_yaml(), end="")
