"""`workbench doctor`: look at the home and the system, one line a finding, and say what to do."""

from __future__ import annotations

import argparse
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench import config
from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.serve import home

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """One line: `level` is ok, warn or fail; `hint` says what to do."""

    level: str
    text: str
    hint: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def doctor(options: argparse.Namespace) -> int:
    """Run every check; the exit code is 1 if one failed."""
    settings = config.load(options.home)
    worst = 0
    for check in CHECKS:
        for finding in examine(check, settings):
            print(f"{MARKS[finding.level]}  {finding.text}" + (f"\n      {finding.hint}" if finding.hint else ""))
            worst = max(worst, finding.level == "fail")
    return int(worst)


def examine(check: Check, settings: Settings) -> Iterator[Finding]:
    """The findings of one check; what it could not look at is a finding too."""
    try:
        yield from check(settings)
    except WorkbenchError as error:
        yield Finding("fail", f"{error.where}: {error.message}" if error.where else error.message, error.hint)
    except OSError as error:
        yield Finding("fail", str(error), "Give the folder back to the user who runs the workbench.")


def check_home(settings: Settings) -> Iterator[Finding]:
    """The home is there and private."""
    if not settings.home.exists():
        yield Finding("ok", f"home {settings.home}: not there yet", "`workbench up` makes it.")
        return
    mode = stat.S_IMODE(settings.home.stat().st_mode)
    if mode & 0o077:
        yield Finding("warn", f"home {settings.home}: others may enter it", f"chmod 700 {settings.home}")
    else:
        yield Finding("ok", f"home {settings.home}: private")


def check_running(settings: Settings) -> Iterator[Finding]:
    """Every process of a running workbench runs."""
    found = home.running(settings)
    if found is None:
        yield Finding("ok", "no workbench runs on this home")
        return
    for entry in found["processes"]:
        if entry["state"] != "running":
            file = home.logs_dir(settings) / f"{entry['name']}.log"
            yield Finding("warn", f"{entry['name']} is {entry['state']}", f"Its output: {file}")
    yield Finding("ok", f"the workbench is {found['state']} at {found['url']}")


def check_ports(settings: Settings) -> Iterator[Finding]:
    """The ports that a start would use are free."""
    if home.running(settings) is not None:
        return
    from workbench.serve import ports, process

    for name, number in process.port_numbers(settings).items():
        taken = ports.taken_by(number)
        if taken:
            yield Finding(
                "warn",
                f"{name} port {number} is taken by {taken}",
                f"`up` takes another, or name one: {ports.FLAG[name]}",
            )
        else:
            yield Finding("ok", f"{name} port {number} is free")


def check_store(settings: Settings) -> Iterator[Finding]:
    """The log reads to its end, and every file that the newest manifest names is there."""
    if not settings.lake_dir.exists():
        yield Finding("ok", "log and lake: empty")
        return
    from workbench.schema import KINDS
    from workbench.store import Follower

    view = Follower(settings)
    yield Finding("ok", f"log: reads to its end, {len(view.registry)} series")
    missing = [file for kind in KINDS for file in view.files(kind) if not Path(file).exists()]
    if missing:
        yield Finding(
            "fail",
            f"lake: {len(missing)} files of version {view.lake_version} are missing, first {missing[0]}",
            "Restore them from a backup; queries that need them fail.",
        )
    else:
        yield Finding("ok", f"lake: version {view.lake_version or '(nothing sealed yet)'}, all files there")


def check_state(settings: Settings) -> Iterator[Finding]:
    """The relational state is whole."""
    file = settings.state_dir / "state.db"
    if not file.exists():
        yield Finding("ok", "state: not there yet")
        return
    import sqlite3

    try:
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        try:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        answer = str(error)
    if answer == "ok":
        yield Finding("ok", "state: whole")
    else:
        yield Finding("fail", f"state: {answer}", f"Stop the workbench and restore {file} from a backup.")


def check_disk(settings: Settings) -> Iterator[Finding]:
    """There is room to write."""
    place = settings.home
    while not place.exists():
        place = place.parent
    free_bytes = shutil.disk_usage(place).free
    text = f"disk: {free_bytes / 2**30:.1f} GiB free"
    if free_bytes < settings.lake.min_free_bytes:
        yield Finding("fail", text, "The doors refuse data until there is room.")
    elif free_bytes < 4 * settings.lake.min_free_bytes:
        yield Finding("warn", text, "Make room soon; below 1 GiB the doors refuse data.")
    else:
        yield Finding("ok", text)


def check_system(_: Settings) -> Iterator[Finding]:
    """The interpreter is one we know, and the pages were built."""
    import workbench

    yield Finding("ok", f"workbench {workbench.__version__}, Python {sys.version.split()[0]}")
    built = Path(workbench.__file__).parent / "show" / "static"
    if built.is_dir() and any(built.iterdir()):
        yield Finding("ok", "pages: built")
    else:
        yield Finding("fail", "pages: the browser side is not built", "`make install` builds it.")
    if shutil.which("bwrap") is None:
        yield Finding("warn", "bubblewrap is not installed", "Without it, kernels share the rights of the workbench.")


CHECKS: tuple[Check, ...] = (
    check_system, check_home, check_disk, check_running, check_ports, check_state, check_store,
)  # fmt: skip
