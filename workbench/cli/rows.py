"""`workbench rows set|list|remove`."""

from __future__ import annotations

import argparse

from workbench import config, log
from workbench.cli.state import note, opened_state
from workbench.errors import InputError
from workbench.query import matchers_text
from workbench.serve import rows


def set_(options: argparse.Namespace) -> int:
    """Limit the rows of a role or a user."""
    with opened_state(options) as engine:
        matchers = matchers_text(rows.set_rows(engine, options.subject, options.matchers))
    _note(options, "rows.set", matchers=matchers)
    print(f"{options.subject} sees {matchers}")
    return 0


def list_(options: argparse.Namespace) -> int:
    """Print all limits."""
    with opened_state(options) as engine:
        found = rows.list_rows(engine)
    for subject, matchers in found:
        print(f"{subject:<20} {matchers}")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Take a limit away."""
    with opened_state(options) as engine:
        removed = rows.remove_rows(engine, options.subject)
    if not removed:
        raise InputError(f"{options.subject} is not limited", hint="`workbench rows list` shows who is.")
    _note(options, "rows.remove")
    print(f"{options.subject} sees all rows")
    return 0


def _note(options: argparse.Namespace, action: str, **detail: str) -> None:
    log.configure("cli", level="WARNING", json=False)
    note(config.load(options.home), action, options.subject, **detail)
