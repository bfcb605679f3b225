"""`workbench state copy`: the relational state from SQLite to PostgreSQL, or back."""

from __future__ import annotations

import argparse
from dataclasses import replace

from workbench import config
from workbench.cli.data import open_home
from workbench.errors import InputError

HOME = "home"
"""The SQLite file of the home."""


def copy(options: argparse.Namespace) -> int:
    """Copy all rows, and say how many."""
    from workbench.serve import home
    from workbench.store import copy_state, state

    settings = open_home(options)
    ends = [_end(settings, text) for text in (options.source, options.target)]
    if ends[0].state_url == ends[1].state_url:
        hint = "Name `home` or a URL with --from or --to; what is left away is state.url of the settings."
        raise InputError("the state would be copied onto itself", where="state copy", hint=hint)
    if home.running(settings) is not None:
        raise InputError("the workbench runs on this home", where=str(settings.home), hint="Stop it first.")
    source, target = (state.engine(end) for end in ends)
    try:
        print(f"copied {copy_state(source, target)} rows; set state.url to what they were copied to")
    finally:
        source.dispose()
        target.dispose()
    return 0


def _end(settings: config.Settings, text: str) -> config.Settings:
    return settings if not text else replace(settings, state=config.State("" if text == HOME else text))
