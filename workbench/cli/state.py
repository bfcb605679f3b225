"""The relational state of a home, for commands, and what they note of their changes."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from workbench import config
from workbench.serve import audit, home
from workbench.store import state


@contextmanager
def opened_state(options: argparse.Namespace) -> Iterator[sa.Engine]:
    """The state of the home that `--home` names; the home is made where it is missing."""
    settings = config.load(options.home)
    home.make_home(settings)
    engine = state.engine(settings)
    try:
        yield engine
    finally:
        engine.dispose()


def note(settings: config.Settings, action: str, target: str, **detail: str) -> None:
    """Keep a change of people or their rights in the audit, whether a workbench runs or not."""
    audit.from_command_line(settings)(f"command line: {getpass.getuser()}", action, target, **detail)
