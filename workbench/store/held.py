"""Which data files which versions of the lake name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.store import delta
from workbench.store.lake import Lake
from workbench.store.manifest import Manifest


def held_files(lake: Lake, kind: str, manifests: Sequence[Manifest]) -> set[str]:
    """Names of the files of a table that some versions name; with the newest manifest among them, those of now too."""
    versions = named_versions(manifests).get(kind, set())
    folder = lake.path(kind)
    added, removed = history(folder)
    held = {
        name
        for name, (until, _) in removed.items()
        if any(added.get(name, 0) <= version < until for version in versions)
    }
    current = {file.path for file in lake.newest_files(kind)} if versions else set()
    return held | {name for name in current if any(added.get(name, 0) <= version for version in versions)}


def named_versions(manifests: Iterable[Manifest]) -> dict[str, set[int]]:
    """Table -> its versions that some manifests name."""
    found: dict[str, set[int]] = {}
    for manifest in manifests:
        for kind, version in manifest.tables.items():
            found.setdefault(kind, set()).add(version)
    return found


def on_disk(folder: Path) -> dict[str, Path]:
    """Name in the table -> path, of every data file below the folder of a table."""
    found = (*folder.glob("*.parquet"), *folder.glob("day=*/*.parquet"))
    return {str(path.relative_to(folder)): path for path in sorted(found)}


def history(folder: Path) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """path -> version that added it, and path -> (version that removed it, when in microseconds), as the log tells."""
    added: dict[str, int] = {}
    removed: dict[str, tuple[int, int]] = {}
    for version, actions in delta.entries(folder):
        for action in actions:
            if "add" in action:
                added[action["add"]["path"]] = version
            elif "remove" in action:
                body = action["remove"]
                removed[body["path"]] = (version, int(body.get("deletionTimestamp") or 0) * 1000)
    return added, removed
