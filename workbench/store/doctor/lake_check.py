"""The lake, looked at from outside: its layout, whose log it has, its manifests, what nobody names."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.config import Settings
from workbench.errors import LogCorrupt
from workbench.schema import LAYOUT_VERSION, TABLES
from workbench.store import delta
from workbench.store.doctor.findings import Finding, Quarantine, Remedy, several
from workbench.store.held import held_files, on_disk
from workbench.store.lake import Lake
from workbench.store.layout import published_path, segment_numbers, segment_path, write_durably
from workbench.store.manifest import Manifests, digest_of, maintenance_lock
from workbench.store.published import read_identity
from workbench.store.retention import ORPHAN_GRACE_SECONDS
from workbench.store.wal import read_header

_LATE_SECONDS = 2 * 3600  # the keeper takes needless files away once an hour


def check_layout_marker(settings: Settings) -> Iterator[Finding]:
    """The home says which layout it has, and we know it."""
    marker = settings.home / "layout.json"
    body = _json(marker)
    if body is not None and body.get("layout") == LAYOUT_VERSION:
        return
    if body is not None and isinstance(body.get("layout"), int):
        yield Finding(
            "fail",
            f"home: layout {body['layout']}, this version knows {LAYOUT_VERSION}",
            "Open it with the version of the workbench that wrote it; nothing is changed.",
        )
        return
    if _known_layout(settings):
        yield Finding(
            "fail",
            f"home: {marker.name} is {'damaged' if marker.exists() else 'missing'}; log and lake have {LAYOUT_VERSION}",
            "",
            Remedy("write it anew", lambda place: _write_marker(settings, marker, place)),
        )
    else:
        yield Finding("fail", f"home: nothing says which layout {settings.home} has", "Restore it from a backup.")


def _known_layout(settings: Settings) -> bool:
    """Whether log and lake themselves say that they have our layout."""
    body = _json(settings.lake_dir / "identity.json")
    said = {body.get("layout")} if body else set()
    for number in segment_numbers(settings):
        try:
            read_header(segment_path(settings, number))
        except LogCorrupt:
            continue
        said.add(LAYOUT_VERSION)
    for name in Manifests(settings.lake_dir / "manifests").ids():
        said.add((_json(settings.lake_dir / "manifests" / f"{name}.json") or {}).get("layout", LAYOUT_VERSION))
    return said == {LAYOUT_VERSION}


def _write_marker(settings: Settings, marker: Path, quarantine: Quarantine) -> str:
    if marker.exists():
        quarantine.take(marker, "not readable")
    write_durably(marker, json.dumps({"layout": LAYOUT_VERSION}).encode())
    return f"{marker.name} says layout {LAYOUT_VERSION}"


def check_identity(settings: Settings) -> Iterator[Finding]:
    """The lake says which log it belongs to."""
    path = settings.lake_dir / "identity.json"
    body = _json(path)
    if body is not None and _is_uuid(body.get("log")):
        return
    if not path.exists() and not Manifests(settings.lake_dir / "manifests").ids():
        return
    log, segment = _log_of(settings)
    text = f"lake: {path.name} is {'damaged' if path.exists() else 'missing'}"
    if log is None:
        yield Finding("fail", f"{text}, and nothing else names its log", "Restore the home from a backup.")
        return

    def act(quarantine: Quarantine) -> str:
        if path.exists():
            quarantine.take(path, "not readable")
        write_durably(path, json.dumps({"layout": LAYOUT_VERSION, "log": log, "first": segment + 1}).encode())
        return f"the lake belongs to log {log} again"

    yield Finding("fail", text, "", Remedy(f"write it anew: manifests and log say {log}", act))


def _log_of(settings: Settings) -> tuple[str | None, int]:
    """Uuid of the log by the newest manifest, else by the log itself; and the last segment in the lake."""
    folder = settings.lake_dir / "manifests"
    for name in reversed(Manifests(folder).ids()):
        body = _json(folder / f"{name}.json")
        if body is not None and body.get("log"):
            return str(body["log"]), int(body.get("segment", 0))
    try:
        return read_identity(published_path(settings)), 0
    except LogCorrupt:
        return None, 0


def check_manifests(settings: Settings) -> Iterator[Finding]:
    """Every manifest is what was written, and the newest names versions that are there."""
    manifests = Manifests(settings.lake_dir / "manifests")
    ids = manifests.ids()
    bad = [name for name in ids if not _is_whole(manifests.folder / f"{name}.json", name)]
    if bad:
        newest = bad[-1] == ids[-1]
        text = f"lake: manifests {several(bad)} are damaged"
        hint = "" if newest else "Reports that pinned these versions cannot be run again on their data."

        def act(quarantine: Quarantine) -> str:
            for name in bad:
                quarantine.take(manifests.folder / f"{name}.json", "not what was written")
            # A number that was given out names one version for ever: the next manifest has a higher one.
            lake = Lake(settings)
            with maintenance_lock(lake.folder):
                tables = {kind: delta.latest_version(lake.path(kind)) for kind in TABLES if lake.path(kind).exists()}
                last = lake.manifests.newest()
                if newest:
                    number = int(bad[-1].split("-")[0])
                    _reserve(lake.manifests, number, tables, _sealed(lake, last.log if last else None), last)
            return f"{len(bad)} manifests are in quarantine" + (
                ", a new one names the tables as they are" if newest else ""
            )

        yield Finding("fail" if newest else "warn", text, hint, Remedy("move them to quarantine", act))
        return
    last = manifests.newest()
    if last is None:
        return
    behind = [kind for kind, version in last.tables.items() if delta.latest_version(settings.lake_dir / kind) < version]
    if not behind:
        yield Finding("ok", f"lake: version {last.id}, {len(ids)} versions kept, every manifest right")


def _reserve(manifests: Manifests, number: int, tables: dict[str, int], segment: int, last: Any) -> None:
    """Write a manifest of the newest versions with a number above the one that was lost."""
    while not manifests.ids() or int(manifests.ids()[-1].split("-")[0]) <= number:
        log = last.log if last else None
        # How far the roll-ups go the keeper finds out anew; what was let go is gone.
        gone = last.let_go_us if last else {}
        manifests.write(tables, segment=segment, log=log, time_us=time.time_ns() // 1000, let_go_us=gone)


def _sealed(lake: Lake, log: str | None) -> int:
    """Highest segment that every table has."""
    log = log or lake.log_identity()
    app = f"log:{log}"
    done = lake.sealed(app) or 0
    while done and lake.missing(app, done):
        done -= 1
    return done


def check_orphans(lake: Lake) -> Iterator[Finding]:
    """Data files that no version names and that the keeper would have taken away by now; drafts that were left."""
    found: list[Path] = []
    manifests = [lake.manifests.read(name) for name in lake.manifests.ids()]
    for kind in (name for name in TABLES if lake.path(name).exists()):
        held = held_files(lake, kind, manifests) | {file.path for file in lake.newest_files(kind)}
        found += [path for name, path in on_disk(lake.path(kind)).items() if name not in held and _is_late(path)]
    found += [path for path in lake.folder.rglob(".*.tmp") if _is_late(path)]
    if found:
        size_bytes = sum(path.stat().st_size for path in found)

        def act(quarantine: Quarantine) -> str:
            for path in found:
                quarantine.take(path, "no version names it")
            return f"{len(found)} files are in quarantine"

        text = f"lake: {len(found)} files that no version names ({size_bytes / 1e6:.1f} MB), first {found[0].name}"
        yield Finding("warn", text, "The keeper takes them away too.", Remedy("move them to quarantine", act))


def _is_late(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > ORPHAN_GRACE_SECONDS + _LATE_SECONDS


def _is_whole(path: Path, name: str) -> bool:
    """Whether a manifest's content has the checksum that is part of its name."""
    body = _json(path)
    if body is None or body.get("id") != name:
        return False
    try:
        return digest_of(body) == name.split("-")[1]
    except (KeyError, AttributeError, TypeError):
        return False


def _json(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def _is_uuid(text: object) -> bool:
    try:
        uuid.UUID(str(text))
    except ValueError:
        return False
    return True
