"""The documentation and the code say the same: settings, commands, rooms, errors, contracts, links.

What a single room's page claims is held to the code by the tests of that room.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import workbench
from workbench import config, errors
from workbench.cli import build_parser
from workbench.schema import KINDS
from workbench.serve.process import port_numbers

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
ROOMS = sorted(folder.parent.name for folder in (ROOT / "workbench").glob("*/__init__.py"))
CONTRACTS = (DOCS / "contracts.md").read_text(encoding="utf-8")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """Cells of the tables of a page, without code marks."""
    found = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in row] for row in found]


def commands(parser: argparse.ArgumentParser, prefix: str = "workbench") -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found |= {f"{prefix} {name}": child} | commands(child, f"{prefix} {name}")
    return found


# Settings


def described_settings() -> dict[str, list[str]]:
    return {row[0]: row for row in rows(page("configuration.md")) if len(row) == 5 and "." in row[0]}


def test_every_setting_has_its_line_and_no_other_has():
    assert list(described_settings()) == list(config.keys())


@pytest.mark.parametrize(("name", "default"), config.keys().items(), ids=list(config.keys()))
def test_a_setting_has_its_true_default_a_unit_a_meaning_and_its_variable(name, default):
    _, shown, unit, meaning, variable = described_settings()[name]
    value = json.loads(shown)
    assert (tuple(value) if isinstance(value, list) else value) == default
    assert type(value) is (list if isinstance(default, tuple) else type(default))
    assert unit
    assert meaning
    text = " ".join(value) if isinstance(value, list) else str(value)
    section, key = name.split(".")
    assert getattr(getattr(config.load(ROOT, environ={variable: text}), section), key) == default
    for suffix in ("seconds", "bytes", "days", "series", "samples", "rows", "steps", "files", "port"):
        if re.search(rf"(^|_){suffix}$", key):
            assert unit == suffix


# Commands


@pytest.mark.parametrize("name", commands(build_parser()))
def test_every_command_stands_in_the_page_of_commands(name):
    assert re.search(rf"`{name}\b", page("cli.md"))


def test_commands_that_pages_show_are_commands():
    known = commands(build_parser())
    for path in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for word in re.findall(r"(?:^|[ /(])workbench ([a-z]+)(?= |$)", re.sub(r"#.*", "", block), re.MULTILINE):
                assert f"workbench {word}" in known, f"{path.name}: workbench {word}"


def test_the_targets_of_make_that_pages_name_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, f"{path.name}: {named - targets}"


# Rooms and errors


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_its_page_and_is_on_the_plan_of_the_house(room):
    assert len(page(f"{room}.md")) > 500
    assert f"[{room}]({room}.md)" in page("architecture.md")
    assert f">{room}</text>" in page("architecture.svg")


def test_every_process_of_up_is_on_the_plan_of_the_house():
    source = inspect.getsource(__import__("workbench.serve.up", fromlist=["processes"]).processes)
    names = set(re.findall(r'(?:_ours|Spec)\(\s*"(\w+)"', source))
    assert {"hub", "front"} < names
    table = page("architecture.md").split("## Processes")[1].split("\n## ")[0]
    assert {row[0] for row in rows(table) if re.fullmatch(r"\w+", row[0])} - {"process"} == names
    assert all(f">{name}</text>" in page("architecture.svg") for name in names)


def drawn_tree() -> list[tuple[str, str]]:
    """(class, its base) in the order in which the tree of errors is drawn."""
    found: list[tuple[str, str]] = []
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─ ]*)([A-Z]\w+)(?:\s{2,}\S.*)?$", line):
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            if depth:
                found.append((match[2], above[depth - 1]))
    return found


def test_every_error_stands_in_the_drawn_tree_below_its_base():
    tree = ast.parse(inspect.getsource(errors))
    classes = [(node.name, node.bases[0].id) for node in tree.body if isinstance(node, ast.ClassDef)]
    assert classes[0] == ("WorkbenchError", "Exception")
    assert sorted(drawn_tree()) == sorted(classes[1:])
    assert [name for name, _ in drawn_tree()] == [name for name, _ in classes[1:]]


def test_the_drawn_tree_gives_the_status_that_the_door_answers_with():
    statuses = re.findall(r"([A-Z]\w+) {2,}.*\((?:HTTP )?(\d{3})\)$", errors.__doc__ or "", re.MULTILINE)
    assert len(statuses) > 5
    for name, status in statuses:
        assert getattr(errors, name).status == int(status), name


# Links, pictures, examples


def anchor(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_relative_link_and_picture_resolves(path: Path):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert fragment in {anchor(heading) for heading in headings}, target


def test_the_examples_of_getting_started_parse(tmp_path: Path):
    text = page("getting-started.md")
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(snippet)
    rule, remote = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[::-1])
    assert rule["groups"][0]["rules"][0]["alert"] == "AtticWarm"
    assert remote["remote_write"][0]["url"].endswith(f":{config.Ingest().port}/api/v1/write")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "workbench.toml").write_text(example, encoding="utf-8")
    assert config.load(tmp_path, environ={}).alert.notify == ("http://127.0.0.1:5001/",)


# Contracts


def test_the_commands_and_flags_of_the_contracts_exist():
    known = commands(build_parser())
    table = CONTRACTS.split("## Commands")[1].split("\n## ")[0]
    promised = [text for row in rows(table) for text in re.findall(r"workbench [^`]+", row[0])]
    assert len(promised) > 7
    for text in promised:
        name = max((one for one in known if f"{text} ".startswith(f"{one} ")), key=len)
        flags = {flag for action in known[name]._actions for flag in action.option_strings}
        assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text)) <= flags, text


def test_the_ports_and_addresses_of_the_contracts_are_served():
    numbers = port_numbers(config.Settings())
    assert f"ingest port ({numbers['ingest']})" in CONTRACTS
    assert f"gRPC port ({numbers['grpc']})" in CONTRACTS
    served = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "workbench").rglob("*.py"))
    for address in re.findall(r"`(?:GET\\\|POST |POST )?(/[\w/]*)`", CONTRACTS):
        assert f'"{address}"' in served, address


def test_the_python_names_of_the_contracts_exist():
    assert list(inspect.signature(workbench.open).parameters) == ["home", "version"]
    opened = __import__("workbench.query", fromlist=["Workbench"]).Workbench
    members = re.search(r"gives ((?:`\.\w+`(?:, )?)+)", CONTRACTS)[1]
    for name in re.findall(r"`\.(\w+)`", members):
        assert hasattr(opened, name), name


def test_the_key_of_samples_is_that_of_the_contracts():
    promised = re.search(r"unique by \(([^)]+)\)", CONTRACTS)[1]
    assert tuple(re.findall(r"`(\w+)`", promised)) == KINDS["samples"].key


def test_the_fields_of_status_are_those_of_the_contracts():
    up = __import__("workbench.serve.up", fromlist=["Supervisor"])
    children = __import__("workbench.serve.running.children", fromlist=["Child"])
    (cell,) = [row[1] for row in rows(CONTRACTS) if row[0].startswith("workbench status")]
    fields = re.findall(r"`?(\w+)(?:\[\])?`?(?:, | \(|\)|$)", cell)
    assert {"state", "lake_version", "processes", "rss_bytes"} <= set(fields)
    reach = __import__("workbench.serve.access.reach", fromlist=["addresses"])
    source = "".join(map(inspect.getsource, (up.Supervisor, children.Child, reach.addresses)))
    for name in fields:
        assert f'"{name}"' in source, name
