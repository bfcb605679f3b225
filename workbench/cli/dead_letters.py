"""`workbench dead-letters list|show|replay|discard`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workbench import config, log
from workbench.cli.values import parse_pairs, parse_time
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.ingest import Letter

ID_CHARACTERS = 8


def list_(options: argparse.Namespace) -> int:
    """One line a letter: id, time, door, reason, pieces kept of those refused, who sent it, where."""
    letters = _chosen(config.load(options.home), options)
    for letter in letters:
        kept = f"{len(letter.pieces)}/{letter.count}"
        at = f"{letter.id[:ID_CHARACTERS]}  {_moment(letter.time_us)}  {letter.door:<12}  {letter.reason:<20}"
        print(f"{at}  {kept:>9}  {letter.source:<14}  {letter.where[:80]}".rstrip())
    if not letters:
        print("(no dead letters)")
    return 0


def show(options: argparse.Namespace) -> int:
    """A letter whole, its pieces one below the other."""
    from workbench.ingest import find_letters
    from workbench.store import Follower

    (letter,) = find_letters(Follower(config.load(options.home)), ids=(options.id,), closed=True)
    for name in ("id", "door", "source", "where", "reason", "message", "count"):
        print(f"{name:<8} {getattr(letter, name)}")
    print(f"time     {_moment(letter.time_us)}")
    for piece in letter.pieces:
        print(json.dumps(piece, ensure_ascii=False, indent=2))
    if not letter.pieces:
        print(letter.payload)
    return 0


def replay(options: argparse.Namespace) -> int:
    """Mend and write; the exit code is 1 where pieces stay and none went."""
    from workbench.ingest import Mend
    from workbench.ingest import replay as run

    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    rename, put = (parse_pairs(texts, where=f"--{name}") for name, texts in _changes(options))
    mend = Mend(rename, put, tuple(options.drop), options.time)
    done = run(settings, _named(settings, options), mend)
    for letter, fault in done.stay:
        print(f"{letter[:ID_CHARACTERS]}  {fault}", file=sys.stderr)
    print(done)
    return 1 if done.stay and not done.pieces else 0


def discard(options: argparse.Namespace) -> int:
    """Close letters."""
    from workbench.ingest import Mend
    from workbench.ingest import replay as run

    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    print(f"closed {run(settings, _named(settings, options), Mend(), discard=True).letters} dead letters")
    return 0


def _changes(options: argparse.Namespace) -> list[tuple[str, list[str]]]:
    return [("rename", options.rename), ("set", options.set)]


def _named(settings: config.Settings, options: argparse.Namespace) -> list[str]:
    """Ids of the open letters that were asked for; never all of them by accident."""
    if not (options.ids or options.reason or options.door or options.since or options.all):
        raise InputError("name dead letters", where="ID", hint="Or choose with --reason, --door, --since; --all: all.")
    options.all = False
    letters = [letter.id for letter in _chosen(settings, options)]
    if not letters:
        raise InputError("no open dead letter is meant", hint="`workbench dead-letters list` shows them.")
    return letters


def _chosen(settings: config.Settings, options: argparse.Namespace) -> list[Letter]:
    from workbench.ingest import find_letters
    from workbench.store import Follower

    since_us = parse_time(options.since, time.time_ns() // 1000, where="--since") if options.since else None
    return find_letters(
        Follower(settings),
        ids=tuple(getattr(options, "ids", ())),
        reason=options.reason,
        door=options.door,
        since_us=since_us,
        closed=options.all,
    )


def _moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
