"""`workbench doctor`: look at the home and the system, one line a finding, say what to do, and do it if asked."""

from __future__ import annotations

import argparse
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from workbench import config, log
from workbench.config import Settings
from workbench.errors import InputError, WorkbenchError
from workbench.serve import home
from workbench.store import Backup, Finding, apply_remedies, examine_home, read_contents

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


Check = Callable[[Settings], Iterator[Finding]]


def doctor(options: argparse.Namespace) -> int:
    """Look at everything and say it; with `--fix` mend what can be mended, once it was shown. 1 if a check failed."""
    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    backup = Backup(options.backup, read_contents(options.backup)) if options.backup else None
    around = [finding for check in CHECKS for finding in examine(check, settings)]
    inside = examine_home(settings, deep=options.deep, backup=backup)
    for finding in (*around, *inside):
        _show(finding)
    plan = [finding for finding in inside if finding.remedy is not None]
    if plan and not options.fix:
        print(f"\n{len(plan)} of these can be mended: workbench doctor --fix")
    if plan and options.fix and _agreed(options.yes):
        for line in apply_remedies(settings, inside, deep=options.deep, backup=backup):
            print(f"done  {line}")
        inside = examine_home(settings, deep=options.deep, backup=backup)
        for finding in inside:
            if finding.level != "ok":
                _show(finding)
    return int(any(finding.level == "fail" for finding in (*around, *inside)))


def _show(finding: Finding) -> None:
    print(f"{MARKS[finding.level]}  {finding.text}")
    if finding.hint:
        print(f"      {finding.hint}")
    if finding.remedy is not None:
        print(f"      --fix: {finding.remedy.plan}")


def _agreed(yes: bool) -> bool:
    """Whether what was shown is to be done; without a terminal to ask at, only where the flag says so."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask at", where="doctor --fix", hint="Say --yes after you looked.")
    return input("\nDo what --fix says above? Nothing is deleted. [y/N] ").strip().lower() in ("y", "yes")


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
    check_system, check_home, check_disk, check_running, check_ports,
)  # fmt: skip
