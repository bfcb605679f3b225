"""Flags of `doctor`, `dead-letters` and `quality`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[Any, str, str, str], argparse.ArgumentParser]


def add_doctor(commands: Any, command: Command) -> None:
    """`doctor`."""
    made = command(commands, "doctor", "doctor:doctor", "check the home and the system, and mend what can be mended")
    made.add_argument("--fix", action="store_true", help="do what is shown, after asking; nothing is deleted")
    made.add_argument("--yes", action="store_true", help="with --fix: do not ask")
    made.add_argument("--deep", action="store_true", help="read every page of every data file")
    made.add_argument("--backup", type=Path, metavar="DIR", help="take whole files from there")


def add_dead_letters(commands: Any, command: Command) -> None:
    """`dead-letters list|show|replay|discard`."""
    letters = commands.add_parser("dead-letters", help="look at what the doors refused, mend it and send it again")
    actions = letters.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_choice(command(actions, "list", "dead_letters:list_", "list refused input, oldest first"))
    show = command(actions, "show", "dead_letters:show", "print what was refused, and why")
    show.add_argument("id", metavar="ID", help="the beginning of one is enough")
    replay = command(actions, "replay", "dead_letters:replay", "mend refused pieces and write them, each once")
    _add_some(replay)
    replay.add_argument("--rename", action="append", default=[], metavar="OLD=NEW", help="give a field another name")
    replay.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field")
    replay.add_argument("--drop", action="append", default=[], metavar="FIELD", help="leave a field out")
    replay.add_argument("--time", default="", metavar="T", help="RFC 3339, `now`, or a shift as in +2h")
    discard = command(actions, "discard", "dead_letters:discard", "close dead letters that nobody needs")
    _add_some(discard)


def add_quality(commands: Any, command: Command) -> None:
    """`quality run|check`."""
    quality = commands.add_parser("quality", help="look at the quality of what came in")
    actions = quality.add_subparsers(title="actions", metavar="ACTION", required=True)
    command(actions, "run", "quality:run", "look now with all checks in force")
    check = command(actions, "check", "quality:check", "check files of checks, all faults at once")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")


def _add_choice(made: argparse.ArgumentParser) -> None:
    made.add_argument("--reason", default="", metavar="REASON", help="of this reason only, as too_old")
    made.add_argument(
        "--door", default="", metavar="DOOR", help="of this door only: otlp, remote_write, events, import"
    )
    made.add_argument("--since", default="", metavar="T", help="refused since then, as -1h")
    made.add_argument("--all", action="store_true", help="those that were dealt with too")


def _add_some(made: argparse.ArgumentParser) -> None:
    made.add_argument("ids", nargs="*", metavar="ID", help="the beginning of one is enough")
    _add_choice(made)
