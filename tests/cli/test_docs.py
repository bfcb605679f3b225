"""`docs/cli.md` and `docs/serve.md` say what the code does."""

from __future__ import annotations

import argparse
import re

import pytest
from conftest import ROOT

from workbench.cli import build_parser
from workbench.serve.access import gate, policy
from workbench.serve.identity import people, signin
from workbench.serve.process import port_numbers
from workbench.serve.running import home, ports

CLI = (ROOT / "docs" / "cli.md").read_text()
SERVE = (ROOT / "docs" / "serve.md").read_text()


def commands(parser: argparse.ArgumentParser, prefix: str = "workbench") -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found |= commands(child, f"{prefix} {name}")
    return found or {prefix: parser}


COMMANDS = commands(build_parser())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_is_described(name):
    assert f"`{name}" in CLI or f"`{name.rpartition(' ')[0]} " in CLI
    line = next(line for line in CLI.splitlines() if line.startswith("|") and f"`{name}" in line)
    for action in COMMANDS[name]._actions:
        flags = [flag for flag in action.option_strings if flag.startswith("--")]
        if flags and flags[0] not in ("--help", "--home", "--parameter"):
            assert flags[0] in line, flags[0]


def test_no_command_is_described_that_is_not_there():
    rows = [line for line in CLI.splitlines() if line.startswith("| `workbench ")]
    described = {words for line in rows for words in re.findall(r"`workbench ([a-z-]+(?: [a-z]+)?)", line)}
    known = {name.removeprefix("workbench ") for name in COMMANDS}
    for words in described:
        assert any(
            name == words or name == words.split()[0] or words in ("rules check", "rules list") for name in known
        ), words


def test_figures_of_the_serve_page():
    for number in port_numbers(ports.Settings()).values():
        assert str(number) in SERVE
    assert f"for {people.LINK_SECONDS // 60} minutes" in SERVE
    assert f"for {people.SESSION_SECONDS // 86400} days" in SERVE
    for path in (*gate.OPEN, "/signin", "/signout"):
        assert f"`{path}`" in SERVE or f"POST {path}" in SERVE
    assert len(signin.FILES) == 2
    assert "with its two files" in SERVE
    assert home.MAX_CAP_BYTES == 20 * 10**9


def test_the_roles_stand_in_the_policy_as_described():
    assert all("ingest" not in rule.roles for rule in policy.MAIN)
