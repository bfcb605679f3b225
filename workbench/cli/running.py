"""`workbench up`, `open` and `status`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import workbench
from workbench import config
from workbench.errors import WorkbenchError

STOPPED = 3

KEYS = ("state", "url", "notebook_url", "ingest_url", "grpc_url", "version", "lake_version", "processes")
PROCESS_KEYS = ("name", "pid", "state", "rss_bytes", "cpu_seconds")

ADDRESSES = (
    ("pages", "url"),
    ("notebooks", "notebook_url"),
    ("ingest", "ingest_url"),
    ("gRPC", "grpc_url"),
    ("elsewhere", "public_ingest_url"),
)
"""Labels for the terminal. The last is where programs on other machines send to, with a token."""


def up(options: argparse.Namespace) -> int:
    """Start and supervise until Ctrl-C."""
    from workbench.serve import up as supervisor

    given = {
        "front.port": options.port,
        "front.notebook_port": options.notebook_port,
        "ingest.port": options.ingest_port,
        "ingest.grpc_port": options.grpc_port,
        "demo.enabled": False if options.no_demo else None,
        "front.bind": options.bind,
        "front.public_url": options.public_url,
        "front.notebook_url": options.notebook_url,
        "front.tls_cert": _absolute(options.tls_cert),
        "front.tls_key": _absolute(options.tls_key),
        "front.trusted_proxy": options.trusted_proxy or None,
        "front.browser": False if options.no_browser else None,
    }
    return supervisor.up(options.home, {name: value for name, value in given.items() if value is not None})


def _absolute(file: Path | None) -> str | None:
    """The processes have another working folder."""
    return None if file is None else str(file.expanduser().resolve())


def open_link(options: argparse.Namespace) -> int:
    """Print a sign-in link."""
    from workbench.serve import home, people
    from workbench.store import state

    settings = config.load(options.home)
    found = home.running(settings)
    if found is None or not found["url"]:
        raise WorkbenchError(
            "no workbench runs on this home", where=str(settings.home), hint="Start it: `workbench up`."
        )
    engine = state.engine(settings)
    print(f"{found['url']}/signin#{people.create_link(engine, people.create_owner(engine))}")
    print("It works once, for 5 minutes.", file=sys.stderr)
    return 0


def status(options: argparse.Namespace) -> int:
    """Print what runs; the exit code is 0 while a workbench runs, else 3."""
    from workbench.serve import home

    settings = config.load(options.home)
    found = home.running(settings)
    shown: dict[str, Any] = {"state": "stopped", "version": workbench.__version__, "processes": [], **(found or {})}
    if found is None:
        shown["lake_version"] = _sealed_version(settings)
    if options.json:
        document = {key: shown.get(key) for key in KEYS}
        document["processes"] = [{key: entry.get(key) for key in PROCESS_KEYS} for entry in shown["processes"]]
        print(json.dumps(document, indent=1))
    else:
        _print_status(shown, settings)
    return STOPPED if found is None else 0


def _sealed_version(settings: config.Settings) -> str:
    """The newest lake version of a stopped workbench ("" before the first seal)."""
    if not settings.lake_dir.exists():
        return ""
    from workbench.store import Lake

    return Lake(settings).lake_version


def _print_status(shown: dict[str, Any], settings: config.Settings) -> None:
    print(f"workbench {shown['version']}: {shown['state']}, home {settings.home}")
    for label, key in ADDRESSES:
        if shown.get(key):
            print(f"  {label:<10} {shown[key]}")
    if shown.get("lake_version"):
        print(f"  {'lake':<10} version {shown['lake_version']}")
    for notice in shown.get("notices", []):
        print(f"  note: {notice}")
    for entry in shown["processes"]:
        pid = entry["pid"] or "-"
        print(
            f"  {entry['name']:<10} {pid:>7} {entry['state']:<11}"
            f" {entry['rss_bytes'] / 2**20:7.0f} MiB {entry['cpu_seconds']:9.1f} s CPU"
        )
