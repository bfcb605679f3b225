"""How a process of `workbench up` begins: its settings, its listening sockets, and the promise to end with `up`.

The supervisor starts our own processes as `python -m workbench.serve.NAME --parent PID --fd main=5 --fd main=6` and
everything else as `python -m workbench.serve.process --parent PID MODULE`. Home and resolved ports come as the
`WORKBENCH_…` variables that any process reads, so that a collector or a notebook kernel finds the same workbench.
"""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench import config, log

PR_SET_PDEATHSIG = 1  # prctl(2), Linux


@dataclass(frozen=True)
class Child:
    """What a process of the workbench starts with.

    `sockets` holds the listening sockets by name (`main`, `notebook`, `ingest`; one per address), empty when the
    process was started by hand; `ports` the port numbers by name (also `grpc`, which the hub binds itself).
    """

    name: str
    settings: config.Settings
    sockets: Mapping[str, list[socket.socket]]
    ports: Mapping[str, int]


def child_main(name: str, argv: Sequence[str] | None = None) -> Child:
    """Begin the process `name`: read the command line and the settings, set up logging, end when the supervisor ends.

    Raises ConfigError for settings that cannot be read.
    """
    parser = argparse.ArgumentParser(prog=f"workbench-{name}")
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--fd", action="append", default=[], metavar="NAME=NUMBER")
    options = parser.parse_args(argv)
    settings = config.load()
    log.configure(name, level=settings.log.level)
    if options.parent:
        end_with(options.parent)
    sockets: dict[str, list[socket.socket]] = {}
    for item in options.fd:
        kind, _, number = item.partition("=")
        listening = socket.socket(fileno=int(number))
        listening.set_inheritable(False)
        sockets.setdefault(kind, []).append(listening)
    return Child(name, settings, sockets, port_numbers(settings))


def port_numbers(settings: config.Settings) -> dict[str, int]:
    """The ports of these settings by name."""
    return {
        "main": settings.front.port,
        "notebook": settings.front.notebook_port,
        "ingest": settings.ingest.port,
        "grpc": settings.ingest.grpc_port,
    }


def end_with(parent: int) -> None:
    """Tie the life of this process to that of `parent`, even when that one is killed without a chance to say so."""
    # A Ctrl-C in the terminal reaches the whole group; the supervisor alone decides the order of ending.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent-watch").start()
    if os.getppid() != parent:  # it ended before the watch stood
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    """Run another module of ours as a process of the workbench: `--parent PID MODULE [ARGUMENT…]`."""
    parser = argparse.ArgumentParser(prog="workbench-process")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    end_with(options.parent)
    sys.argv[1:] = options.arguments
    runpy.run_module(options.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
