"""The commands and their flags, as data for argparse; what each does stands in the module that `run` names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import workbench
from workbench.cli.index_parser import add_index
from workbench.cli.jobs_parser import add_jobs, add_publish
from workbench.cli.quality_parser import add_dead_letters, add_doctor, add_quality

TIME_FLAGS = frozenset({"--time", "--start", "--end", "--since"})
IMPORTED = ("samples", "events", "usage", "costs")
ROLES = ("ingest", "viewer", "analyst", "operator", "admin")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="workbench", description="Monitor and analyse an AI content platform: notebooks, pages, alerts, reports."
    )
    parser.add_argument("--version", action="version", version=f"workbench {workbench.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_running(commands)
    _add_data(commands)
    _add_token(commands)
    add_jobs(commands, _command)
    add_publish(commands, _command)
    _add_rows(commands)
    _add_state(commands)
    _add_user(commands)
    _add_backup(commands)
    _add_lifecycle(commands)
    add_dead_letters(commands, _command)
    add_index(commands, _command)
    add_quality(commands, _command)
    return parser


def _command(commands: Any, name: str, run: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    made.add_argument(
        "--home",
        type=Path,
        metavar="DIR",
        help="where it lives (default: WORKBENCH_HOME, else the data folder)",
    )
    made.set_defaults(run=run)
    return made


def _add_running(commands: Any) -> None:
    up = _command(commands, "up", "running:up", "start the workbench and keep it running until Ctrl-C")
    for flag, what in (
        ("--port", "pages and API for people (default 8765)"),
        ("--notebook-port", "what notebooks made (default 8766)"),
        ("--ingest-port", "OTLP/HTTP, remote write, events (default 4318); ports not given then take any free one"),
        ("--grpc-port", "OTLP/gRPC (default 4317)"),
    ):
        up.add_argument(flag, type=_port, metavar="N", help=f"{what}; 0 = any free port")
    up.add_argument("--bind", metavar="ADDRESS", help="reach beyond this machine: an address of it, 0.0.0.0 or ::")
    up.add_argument("--public-url", metavar="URL", help="under which people reach the pages, as https://NAME:PORT")
    up.add_argument("--notebook-url", metavar="URL", help="the same for notebooks (default: the notebook port there)")
    up.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate with its chain, PEM")
    up.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    up.add_argument(
        "--trusted-proxy", action="append", metavar="NETWORK", help="where a proxy that speaks TLS for us comes from"
    )
    up.add_argument("--no-demo", action="store_true", help="do not simulate a platform")
    up.add_argument("--no-browser", action="store_true", help="do not open a browser")
    _command(commands, "open", "running:open_link", "print a new sign-in link for the running workbench")
    status = _command(commands, "status", "running:status", "say what runs, and where; exit code 3 when nothing does")
    status.add_argument("--json", action="store_true", help="for scripts")
    add_doctor(commands, _command)


def _add_data(commands: Any) -> None:
    load = _command(commands, "import", "data:import_", "bring files into the lake: CSV, Parquet, OpenMetrics, JSON")
    load.add_argument("files", nargs="+", type=Path, metavar="FILE")
    load.add_argument("--kind", choices=IMPORTED, default="samples", help="kind of table (default samples)")
    load.add_argument(
        "--map", action="append", default=[], metavar="COLUMN=FIELD", help="which column of the file is which field"
    )
    copy = _command(commands, "copy", "copy:copy", "copy samples or tables between the lake and a back end")
    for flag, end in (("from", "source"), ("to", "target")):
        copy.add_argument(
            f"--{flag}", dest=end, required=True, metavar="URL",
            help=f"the {end}: `lake`, a back end's URL, or `timeseries` or `warehouse` of the settings",
        )  # fmt: skip
    copy.add_argument("--match", default="", metavar="SELECTOR", help="which samples, as 'requests_total{job=\"api\"}'")
    copy.add_argument("--table", action="append", default=[], metavar="NAME", help="which tables of a warehouse")
    copy.add_argument("--start", metavar="T", help="as for query (default: where the source begins)")
    copy.add_argument("--end", metavar="T", help="(default: now; the next run then goes on from there)")
    query = _command(commands, "query", "data:query", "evaluate a PromQL expression, or answer a SELECT")
    query.add_argument("expr", metavar="EXPR")
    query.add_argument("--sql", action="store_true", help="EXPR is SQL; its tables: `--sql 'SHOW TABLES'`")
    query.add_argument("--time", metavar="T", help="RFC 3339, Unix seconds, `now` or relative as in -1h (default now)")
    query.add_argument("--start", metavar="T", help="with --end and --step: evaluate over a range")
    query.add_argument("--end", metavar="T")
    query.add_argument("--step", metavar="S", help="as in 30s, 5m or seconds")
    query.add_argument("--lake-version", default="", metavar="ID", help="read this version of the data alone")
    query.add_argument("--as-of", default="", metavar="T", help="read what was sealed by then")
    query.add_argument("--format", choices=("table", "json", "csv", "parquet"), default="table")
    query.add_argument("--output", type=Path, metavar="FILE", help="write there instead of standard output")
    report = _command(commands, "report", "data:report", "run a report notebook and keep it as notebook and HTML")
    report.add_argument("name", metavar="NAME")
    report.add_argument("--date", metavar="YYYY-MM-DD", help="the day it is about (default today, UTC)")
    report.add_argument(
        "--lake-version", default="", metavar="ID", help="the data to read (default: all received so far)"
    )
    report.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    simulate = _command(commands, "simulate", "simulate:simulate", "start an incident on the simulated platform")
    what = simulate.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="all kinds of incident, and what one sees of each")
    what.add_argument("--incident", metavar="NAME", help="start one of this kind now, on the running demo")
    what.add_argument("--truth", action="store_true", help="print every incident that there was, a JSON object a line")
    simulate.add_argument("--duration", metavar="DURATION", help="as in 10m or 2h (default: the shortest of its kind)")
    simulate.add_argument("--target", default="", metavar="T", help="what it hits (default: the first of --list)")
    report.add_argument("--pdf", action="store_true", help="write it as PDF too, beside the page")
    rules = _command(commands, "rules", "data:rules", "check rule files, or list the rules in force")
    rules.add_argument("action", choices=("check", "list"))
    rules.add_argument("files", nargs="*", type=Path, metavar="FILE")
    scrape = _command(commands, "scrape", "scrape:scrape", "check a scrape file, and say what it would scrape")
    scrape.add_argument("action", choices=("check",))
    scrape.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: the one in force")


def _add_lifecycle(commands: Any) -> None:
    life = _command(commands, "lifecycle", "lifecycle:lifecycle", "say what is kept where, and what goes next, by rule")
    life.add_argument("--dry-run", action="store_true", help="only say what would go; without it, it goes now")


def _add_token(commands: Any) -> None:
    token = commands.add_parser("token", help="create, list and revoke tokens for programs")
    actions = token.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = _command(actions, "create", "tokens:create", "print a new token; it is shown once")
    create.add_argument("--role", required=True, choices=ROLES)
    create.add_argument("--expires", metavar="DURATION", help="as in 12h or 30d (default never)")
    create.add_argument("--name", default="", help="what it is for")
    _command(actions, "list", "tokens:list_", "list all tokens, without their secrets")
    revoke = _command(actions, "revoke", "tokens:revoke", "make a token invalid, everywhere within a second")
    revoke.add_argument("id", type=int, metavar="ID")


def _add_rows(commands: Any) -> None:
    rows = commands.add_parser("rows", help="limit the rows that a role or a user may see")
    actions = rows.add_subparsers(title="actions", metavar="ACTION", required=True)
    limit = _command(actions, "set", "rows:set_", "let a role or a user see only what meets label matchers")
    limit.add_argument("subject", metavar="role:ROLE|user:NAME")
    limit.add_argument("matchers", metavar="MATCHERS", help="as PromQL writes them: '{domain=~\"science|arts\"}'")
    _command(actions, "list", "rows:list_", "list who sees what; who is not listed sees all rows")
    remove = _command(actions, "remove", "rows:remove", "let a role or a user see all rows again")
    remove.add_argument("subject", metavar="role:ROLE|user:NAME")


def _add_state(commands: Any) -> None:
    state = commands.add_parser("state", help="bring people, alerts, jobs and reports into another database")
    actions = state.add_subparsers(title="actions", metavar="ACTION", required=True)
    copy = _command(actions, "copy", "state_copy:copy", "copy the state into an empty database, while nothing runs")
    copy.add_argument("--from", dest="source", default="", metavar="URL", help="`home` or a URL (default: state.url)")
    copy.add_argument("--to", dest="target", default="", metavar="URL", help="`home` or a URL (default: state.url)")


def _add_user(commands: Any) -> None:
    user = commands.add_parser("user", help="invite people, and say what they may do")
    actions = user.add_subparsers(title="actions", metavar="ACTION", required=True)
    made = {
        name: _command(actions, name, f"users:{name}", what)
        for name, what in (
            ("add", "make a user and print the link that lets him in for the first time"),
            ("role", "give a user another role, everywhere within a second"),
            ("disable", "let a user in no more, and sign him out everywhere"),
            ("enable", "let a user in again"),
            ("link", "print a new sign-in link for a user, as for a forgotten password"),
        )
    }
    for action in made.values():
        action.add_argument("name", metavar="NAME")
    for name in ("add", "role"):
        made[name].add_argument("--role", required=True, choices=ROLES[1:])
    for name in ("add", "link"):
        made[name].add_argument("--expires", metavar="DURATION", help="how long the link is good (default 5m)")
    _command(actions, "list", "users:list_", "list all users, their roles and how they sign in")


def _add_backup(commands: Any) -> None:
    backup = _command(commands, "backup", "backup:backup", "copy log, lake, state and what people keep into a folder")
    backup.add_argument("folder", type=Path, metavar="DIR", help="not there yet, or empty")
    restore = _command(commands, "restore", "backup:restore", "check a backup and put it in the place of the home")
    restore.add_argument("folder", type=Path, metavar="DIR")
    restore.add_argument("--force", action="store_true", help="move a home that holds something aside")


def join_relative_times(argv: Sequence[str]) -> list[str]:
    """`--start -1h` as `--start=-1h`, since argparse takes what begins with a dash for a flag."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in TIME_FLAGS and word[:1] == "-" and word[1:2].isdigit():
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port; 0 to 65535")
    return number
