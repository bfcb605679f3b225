"""The relational state of a home, for commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from workbench import config
from workbench.serve import home
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
