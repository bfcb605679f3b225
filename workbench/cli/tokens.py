"""`workbench token create|list|revoke`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

from workbench.cli.state import opened_state
from workbench.cli.values import parse_duration
from workbench.errors import InputError
from workbench.serve import people


def create(options: argparse.Namespace) -> int:
    """Print a new token."""
    seconds = round(parse_duration(options.expires, where="--expires")) if options.expires else None
    with opened_state(options) as engine:
        print(people.create_token(engine, options.role, name=options.name, expires_seconds=seconds))
    return 0


def list_(options: argparse.Namespace) -> int:
    """Print all tokens."""
    now_us = time.time_ns() // 1000
    with opened_state(options) as engine:
        tokens = people.list_tokens(engine)
    for token in tokens:
        if token["revoked_us"] is not None:
            validity = f"revoked {_date(token['revoked_us'])}"
        elif token["expires_us"] is None:
            validity = "valid"
        else:
            word = "valid until" if token["expires_us"] > now_us else "expired"
            validity = f"{word} {_date(token['expires_us'])}"
        made = _date(token["created_us"])
        print(f"{token['id']:>4}  {token['role']:<9} {made}  {validity:<30} {token['name']}".rstrip())
    return 0


def revoke(options: argparse.Namespace) -> int:
    """Revoke a token."""
    with opened_state(options) as engine:
        revoked = people.revoke_tokens(engine, token_id=options.id)
    if not revoked:
        raise InputError(f"there is no valid token {options.id}", hint="`workbench token list` shows them.")
    print(f"token {options.id} is revoked")
    return 0


def _date(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
