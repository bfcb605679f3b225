"""`workbench import`, `query`, `report` and `rules`: they work on the home, whether a workbench runs or not."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date
from typing import TYPE_CHECKING

from workbench import config
from workbench.cli.answers import write_answer
from workbench.cli.values import parse_duration, parse_pairs, parse_scalar, parse_time
from workbench.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.query import Result
    from workbench.store import View


def open_home(options: argparse.Namespace, *, make: bool = False) -> config.Settings:
    """The settings of the home (with `make`, it is made where it is missing), and a process fit to work on it.

    Only warnings are logged, to standard error, and from now on libraries keep their caches in the home.
    """
    from workbench import log
    from workbench.serve import home

    settings = config.load(options.home)
    log.configure("cli", level="WARNING", json=False)
    if make:
        home.make_home(settings)
    if settings.home.exists():
        home.use_caches(settings)
    return settings


def import_(options: argparse.Namespace) -> int:
    """Import files and say what came of them."""
    from workbench.cli.progress import Bar

    settings = open_home(options, make=True)
    from workbench.ingest import import_files

    with Bar(sys.stderr) as bar:
        result = import_files(
            options.files,
            kind=options.kind,
            mapping=parse_pairs(options.map, where="--map"),
            settings=settings,
            progress=bar,
        )
    print(result)
    return 1 if result.rejected and not result.rows else 0


def query(options: argparse.Namespace) -> int:
    """Evaluate an expression or answer a statement, and print the result."""
    settings = open_home(options)
    ranged = [name for name in ("start", "end", "step") if getattr(options, name)]
    if options.sql:
        if ranged or options.time:
            raise InputError("a statement names its times itself: WHERE time >= …", where="--sql")
        answer: Result | pa.Table = _answer_sql(options, settings)
    else:
        answer = _evaluate(options, settings, ranged)
    if options.output:
        with options.output.open("wb") as file:
            write_answer(answer, options.format, file)
    else:
        if options.format == "parquet" and sys.stdout.isatty():
            raise InputError("Parquet is not for the terminal", where="--format", hint="Name a file with --output.")
        write_answer(answer, options.format, sys.stdout.buffer)
    return 0


def _view(options: argparse.Namespace, settings: config.Settings) -> tuple[View, int]:
    """The data that was asked for, and what time it is there: now, or that of a named version."""
    from workbench.store import open_view

    now_us, version = time.time_ns() // 1000, options.lake_version
    if options.as_of:
        if version:
            raise InputError("give either a version or a time", where="--as-of")
        version = open_view(settings).version_at(parse_time(options.as_of, now_us, where="--as-of"))
    view = open_view(settings, version=version or None)
    return view, view.version_time_us if version else now_us


def _answer_sql(options: argparse.Namespace, settings: config.Settings) -> pa.Table:
    from workbench.query import sql

    view, now_us = _view(options, settings)
    return sql(view, options.expr, now_us=now_us, limits=settings.query)


def _evaluate(options: argparse.Namespace, settings: config.Settings, ranged: list[str]) -> Result:
    from workbench.query import instant, range_query

    if ranged and (len(ranged) < 3 or options.time):
        raise InputError("a range needs --start, --end and --step, and no --time", where="query")
    view, now_us = _view(options, settings)
    if ranged:
        start_us = parse_time(options.start, now_us, where="--start")
        end_us = parse_time(options.end, now_us, where="--end")
        step_us = round(parse_duration(options.step, where="--step") * 1_000_000)
        return range_query(view, options.expr, start_us, end_us, step_us, limits=settings.query)
    time_us = parse_time(options.time or "now", now_us, where="--time")
    return instant(view, options.expr, time_us, limits=settings.query)


def report(options: argparse.Namespace) -> int:
    """Run a report and print where it is kept."""
    settings = open_home(options, make=True)
    from workbench.report import kept_pdf, run_report

    try:
        day = date.fromisoformat(options.date) if options.date else None
    except ValueError as error:
        raise InputError(f"{options.date!r} is no day", where="--date", hint="Write it as 2026-11-24.") from error
    pairs = parse_pairs(options.parameter, where="--parameter")
    values = {name: parse_scalar(text) for name, text in pairs.items()}
    made = run_report(options.name, settings=settings, day=day, parameters=values, lake_version=options.lake_version)
    if options.pdf:
        kept_pdf(made)
    print(made.folder)
    return 0


def rules(options: argparse.Namespace) -> int:
    """Check rule files (all their faults at once), or list the rules in force."""
    from workbench.alert import load_rules, rule_files

    settings = config.load(options.home)
    if options.action == "check" and not options.files:
        raise InputError("name the rule files to check", where="rules check")
    groups = load_rules(options.files if options.action == "check" else rule_files(settings))
    if options.action == "check":
        number = sum(len(group.rules) for group in groups)
        print(f"{number} rules in {len(groups)} groups: no faults")
        return 0
    for group in groups:
        print(group.name)
        for rule in group.rules:
            print(f"  {rule.name}: {rule.expr}")
    return 0
