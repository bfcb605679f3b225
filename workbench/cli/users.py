"""`workbench user add|list|role|disable|enable|link`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa

from workbench import config, log
from workbench.cli.state import note
from workbench.cli.values import parse_duration
from workbench.serve import home, people, users
from workbench.store import state


def add(options: argparse.Namespace) -> int:
    """Make a user and print the link that lets him choose a password."""
    with _engine(options) as (settings, engine):
        user_id = users.add_user(engine, options.name, options.role)
        _print_link(settings, engine, user_id, options.expires)
        note(settings, "user.add", options.name, role=options.role)
    return 0


def list_(options: argparse.Namespace) -> int:
    """Print all users."""
    with _engine(options) as (_, engine):
        for user in users.list_users(engine):
            ways = [
                word for word, has in (("password", user["has_password"]), ("single sign-on", user["subject"])) if has
            ]
            condition = "disabled" if user["disabled_us"] else f"{user['sessions']} signed in"
            made = datetime.fromtimestamp(user["created_us"] / 1e6, UTC).strftime("%Y-%m-%d")
            print(f"{user['name']:<24} {user['role']:<9} {made}  {condition:<13} {', '.join(ways) or 'link'}")
    return 0


def role(options: argparse.Namespace) -> int:
    """Give a user another role."""
    with _engine(options) as (settings, engine):
        users.set_role(engine, users.find_user(engine, options.name), options.role)
        note(settings, "user.role", options.name, role=options.role)
    print(f"{options.name} is {options.role}")
    return 0


def disable(options: argparse.Namespace) -> int:
    """Let a user in no more."""
    with _engine(options) as (settings, engine):
        users.disable(engine, users.find_user(engine, options.name))
        note(settings, "user.disable", options.name)
    print(f"{options.name} is disabled, and signed out everywhere")
    return 0


def enable(options: argparse.Namespace) -> int:
    """Let a user in again."""
    with _engine(options) as (settings, engine):
        users.enable(engine, users.find_user(engine, options.name))
        note(settings, "user.enable", options.name)
    print(f"{options.name} may sign in again")
    return 0


def link(options: argparse.Namespace) -> int:
    """Print a new sign-in link for a user, who may then choose a new password."""
    with _engine(options) as (settings, engine):
        _print_link(settings, engine, users.find_user(engine, options.name), options.expires)
        note(settings, "user.link", options.name)
    return 0


def _print_link(settings: config.Settings, engine: sa.Engine, user_id: int, expires: str | None) -> None:
    seconds = round(parse_duration(expires, where="--expires")) if expires else people.LINK_SECONDS
    secret = users.invite(engine, user_id, seconds=seconds)
    found = home.running(settings)
    if found and found["url"]:
        print(f"{found['url']}/signin#{secret}")
    else:
        # Where it will listen is not known before it runs; the sign-in page takes the secret alone as well.
        print(f"#{secret}")
        print("Nothing runs: start it with `workbench up` and paste this into its sign-in page.", file=sys.stderr)
    print(
        f"It works once, for {seconds // 60} min; it leads to a page where a password can be chosen.", file=sys.stderr
    )


@contextmanager
def _engine(options: argparse.Namespace) -> Iterator[tuple[config.Settings, sa.Engine]]:
    settings = config.load(options.home)
    log.configure("user", level="WARNING", json=False)
    home.make_home(settings)
    engine = state.engine(settings)
    try:
        people.create_owner(engine)
        yield settings, engine
    finally:
        engine.dispose()
