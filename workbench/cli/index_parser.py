"""The arguments of `workbench index`; what it does is imported when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_index(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    index = commands.add_parser("index", help="look after the series index, which makes PromQL quick")
    actions = index.add_subparsers(title="actions", metavar="ACTION", required=True)
    command(actions, "status", "index:status", "say what the index covers, and how large it is")
    command(actions, "rebuild", "index:rebuild", "delete the index and make it anew from the lake")
    command(actions, "verify", "index:verify", "compare the index with the rows, sample by sample")
