"""`workbench simulate`: incidents of the simulated platform, to start one and see what the pages make of it."""

from __future__ import annotations

import argparse
import textwrap

from workbench import config
from workbench.cli.values import parse_duration
from workbench.errors import InputError

WIDTH = 100


def simulate(options: argparse.Namespace) -> int:
    """List the kinds, start an incident, or print the truth."""
    settings = config.load(options.home)
    if not options.incident and (options.duration or options.target):
        raise InputError("a duration or a target needs an incident", where="simulate", hint="Name it: --incident NAME.")
    if options.list:
        _print_kinds()
    elif options.truth:
        _print_truth(settings)
    else:
        _start(settings, options)
    return 0


def _print_kinds() -> None:
    from workbench.simulate import KINDS

    for kind in KINDS.values():
        print(f"{kind.name}{' (benign)' if kind.benign else ''}")
        print(textwrap.fill(kind.sees, WIDTH, initial_indent="    ", subsequent_indent="    "))
        if len(kind.targets) > 1:
            print(textwrap.fill(f"targets: {', '.join(kind.targets)}", WIDTH, initial_indent="    "))


def _print_truth(settings: config.Settings) -> None:
    try:
        print((settings.state_dir / "truth.jsonl").read_text(encoding="utf-8"), end="")
    except FileNotFoundError:
        raise InputError(
            "this home has no simulated platform", where=str(settings.home), hint="`workbench up` starts it."
        ) from None


def _start(settings: config.Settings, options: argparse.Namespace) -> None:
    from workbench.simulate import KINDS, start

    seconds = parse_duration(options.duration, where="--duration") if options.duration else None
    document = start(settings, options.incident, duration_seconds=seconds, target=options.target).as_dict()
    print(f"{document['kind']} ({document['target']}) from {document['start']} to {document['end']}.")
    print(textwrap.fill(KINDS[options.incident].sees, WIDTH))
