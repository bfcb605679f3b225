"""The order in which a home is looked at: what later checks rely on comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from deltalake.exceptions import DeltaError

from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.schema import KINDS, TABLES, Kind
from workbench.store.doctor.files import Backup, check_files
from workbench.store.doctor.findings import Finding, Quarantine
from workbench.store.doctor.home_check import check_clock, check_index, check_other_homes, check_quarantine, now_us
from workbench.store.doctor.lake_check import check_identity, check_layout_marker, check_manifests, check_orphans
from workbench.store.doctor.log_check import check_log
from workbench.store.doctor.state_check import check_state
from workbench.store.doctor.tables import check_table
from workbench.store.lake import Lake
from workbench.store.layout import segment_numbers
from workbench.store.lock import writer_lock
from workbench.store.manifest import Manifests

_ROUNDS = 6
"""A remedy can bring to light what could not be looked at before: layout, identity, manifests, tables, files, log."""


def examine_home(settings: Settings, *, deep: bool = False, backup: Backup | None = None) -> list[Finding]:
    """All findings about log, lake and state; of a lake that cannot be opened, those that say why.

    With `deep` every page of every file is read. `backup` is where whole files may be taken from.
    """
    found = list(_guarded(lambda: check_state(settings, backup)))
    found += _guarded(lambda: check_other_homes(settings))
    begun = [settings.lake_dir / name for name in ("manifests", "identity.json")]
    if not any(path.exists() for path in begun) and not segment_numbers(settings):
        return [*found, Finding("ok", "log and lake: empty")]
    for check in (check_layout_marker, check_identity, check_manifests):
        stage = list(_guarded(lambda check=check: check(settings)))  # type: ignore[misc]
        found += stage
        if any(one.level != "ok" for one in stage):
            return found
    newest = Manifests(settings.lake_dir / "manifests").newest()
    for kind in _there(settings):
        named = newest.tables.get(kind.name, -1) if newest else -1
        found += _guarded(lambda kind=kind, named=named: check_table(settings.lake_dir, kind, named))  # type: ignore[misc]
    if any(one.level == "fail" and one.text.startswith("lake:") for one in found):
        return found
    return found + list(_guarded(lambda: _check_open(settings, deep, backup)))


def _check_open(settings: Settings, deep: bool, backup: Backup | None) -> Iterator[Finding]:
    """What can be looked at once the tables can be opened."""
    lake = Lake(settings)
    if (settings.lake_dir / "series").exists():
        files = 0
        for kind in _there(settings):
            bad = list(check_files(lake, kind, deep=deep, backup=backup))
            yield from bad
            files += len(lake.newest_files(kind.name)) - len(bad)
        yield Finding("ok", f"lake: {files} data files there{', every page right' if deep else ''}")
        yield from check_orphans(lake)
        yield from check_clock(lake, now_us())
    yield from check_index(settings)
    if settings.log_dir.exists() or lake.log_identity():
        yield from check_log(settings, lake)
    yield from check_quarantine(settings)


def _there(settings: Settings) -> list[Kind]:
    """The tables to look at: those of the roll-ups once they are made."""
    return [kind for name, kind in TABLES.items() if name in KINDS or (settings.lake_dir / name).exists()]


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; what it could not look at is a finding too."""
    try:
        yield from check()
    except WorkbenchError as error:
        yield Finding("fail", f"{error.where}: {error.message}" if error.where else error.message, error.hint)
    except (DeltaError, pa.ArrowException) as error:
        yield Finding("fail", f"lake: not readable: {error}", "Restore it from a backup: workbench restore.")
    except FileNotFoundError as error:
        yield Finding("warn", f"{error.filename} went while it was looked at", "Run it again.")
    except OSError as error:
        yield Finding("fail", str(error), "Give the folder back to the user who runs the workbench.")


def apply_remedies(
    settings: Settings, findings: list[Finding], *, deep: bool = False, backup: Backup | None = None
) -> Iterator[str]:
    """Do what the findings' remedies say, look again, and go on with what that brings to light; a line for each deed.

    Raises LakeLocked while somebody writes the home.
    """
    lock = writer_lock(settings)
    lock.acquire()
    quarantine = Quarantine(settings)
    try:
        for _ in range(_ROUNDS):
            # Of the findings about the log the lake's come first: what is done to one may change the other.
            remedies = [one.remedy for one in findings if one.remedy is not None]
            if not remedies:
                return
            for remedy in remedies:
                try:
                    yield remedy.act(quarantine)
                except WorkbenchError as error:
                    yield f"not done: {error}"
                    return
            findings = examine_home(settings, deep=deep, backup=backup)
    finally:
        lock.release()
