"""Rule files in Prometheus' format, read with all their faults at once, each with file and line.

Format: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ (Prometheus 3.x).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from workbench.alert.templates import Template, compile_template
from workbench.config import Settings
from workbench.errors import ConfigError, InputError, QueryError
from workbench.query import duration_us, parse

SHIPPED = Path(__file__).parent / "rules"
GROUP_KEYS = ("name", "interval", "rules", "labels", "limit", "query_offset")
RULE_KEYS = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations")
NOT_READ = {"query_offset": "evaluation with an offset", "record": "recording rules"}
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class Rule:
    """One alerting rule. `query` is its parsed expression; durations are microseconds."""

    alert: str
    expr: str
    query: Any
    for_us: int
    keep_firing_us: int
    labels: tuple[tuple[str, Template], ...]
    annotations: tuple[tuple[str, Template], ...]
    key: str
    """What names the rule in the state: file, group, alert, and which of the rules of that name it is."""


@dataclass(frozen=True)
class RuleGroup:
    """Rules that are evaluated together, each `interval_us` (0: at the default); over `limit` alerts a rule fails."""

    name: str
    file: Path
    interval_us: int
    limit: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Fault:
    """Something wrong in a rule file; `line` counts from 1."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def rule_files(settings: Settings) -> list[Path]:
    """The rule files in force: ours, and those in the home, of which one replaces ours of the same name."""
    # Hidden files are an editor's: its locks dangle, its backups would double each rule.
    own = {
        file.name: file
        for pattern in ("*.yaml", "*.yml")
        for file in (settings.home / "rules").glob(pattern)
        if not file.name.startswith(".")
    }
    return [file for _, file in sorted({**shipped_files(), **own}.items())]


def shipped_files() -> dict[str, Path]:
    """Our own rule files by name."""
    return {file.name: file for file in SHIPPED.glob("*.yaml")}


def load_rules(paths: Iterable[Path | str]) -> list[RuleGroup]:
    """The rule groups of some files. Raises ConfigError with every fault of every file, a line each."""
    groups: list[RuleGroup] = []
    faults: list[Fault] = []
    for path in map(Path, paths):
        reader = _Reader(path)
        groups += reader.groups()
        faults += reader.faults
    if faults:
        lines = "\n".join(map(str, sorted(faults, key=lambda fault: (str(fault.file), fault.line))))
        raise ConfigError(lines, hint="`workbench rules check FILE…` checks them again")
    return groups


class _Reader:
    """Reads one file and collects its faults."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.faults: list[Fault] = []

    def groups(self) -> list[RuleGroup]:
        try:
            root = yaml.compose(self.file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except OSError as error:
            self._fault(1, f"cannot be read: {error.strerror}")
            return []
        except UnicodeDecodeError:
            self._fault(1, "is not UTF-8 text")
            return []
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self._fault(line, f"not YAML: {error.problem}")
            return []
        except yaml.YAMLError as error:
            self._fault(1, f"not YAML: {str(error).splitlines()[0]}")
            return []
        except RecursionError:
            self._fault(1, "not a rule file: nested too deeply")
            return []
        if root is None:
            return []
        fields = self._fields(root, ("groups",), "the file")
        found, names = [], set()
        for node in self._items(fields.get("groups"), "groups"):
            group = self._group(node)
            if group is None:
                continue
            if group.name in names:
                self._fault(_line(node), f"a second group {group.name!r}")
            names.add(group.name)
            found.append(group)
        return found

    def _group(self, node: yaml.Node) -> RuleGroup | None:
        fields = self._fields(node, GROUP_KEYS, "a group")
        name = self._text(fields.get("name"), "name", node)
        interval_us = self._duration(fields.get("interval"), "interval")
        limit = self._whole(fields.get("limit"))
        common = self._templates(fields.get("labels"), "labels")
        found = [self._rule(item, common) for item in self._items(fields.get("rules"), "rules")]
        if name is None:
            return None
        rules: list[Rule] = []
        for rule in filter(None, found):
            # Not the line: an edit further up must not end an alert and begin another.
            ordinal = sum(other.alert == rule.alert for other in rules)
            rules.append(replace(rule, key=f"{self.file.name}/{name}/{rule.alert}/{ordinal}"))
        return RuleGroup(name, self.file, interval_us, limit, tuple(rules))

    def _rule(self, node: yaml.Node, common: Sequence[tuple[str, Template]]) -> Rule | None:
        fields = self._fields(node, RULE_KEYS, "a rule")
        if isinstance(node, yaml.MappingNode) and any(key.value == "record" for key, _ in node.value):
            return None
        alert = self._text(fields.get("alert"), "alert", node)
        expr = self._text(fields.get("expr"), "expr", node)
        query = self._query(expr, fields["expr"]) if expr is not None else None
        for_us = self._duration(fields.get("for"), "for")
        keep_us = self._duration(fields.get("keep_firing_for"), "keep_firing_for")
        labels = {**dict(common), **dict(self._templates(fields.get("labels"), "labels"))}
        annotations = self._templates(fields.get("annotations"), "annotations")
        if alert is None or expr is None or query is None:
            return None
        return Rule(alert, expr, query, for_us, keep_us, tuple(labels.items()), tuple(annotations), key="")

    def _query(self, expr: str, node: yaml.Node) -> Any:
        try:
            return parse(expr)
        except QueryError as error:
            place = f" at {error.where}" if error.where else ""
            self._fault(_line(node), f"expr{place}: {error.message}. {error.hint}".rstrip(". "))
            return None

    def _templates(self, node: yaml.Node | None, what: str) -> list[tuple[str, Template]]:
        found = []
        for key, value in self._pairs(node, what):
            if what == "labels" and (not LABEL_NAME.fullmatch(key.value) or key.value in ("__name__", "alertname")):
                self._fault(_line(key), f"{key.value!r} cannot be the name of a label")
                continue
            text = self._text(value, key.value, value)
            if text is None:
                continue
            try:
                found.append((key.value, compile_template(text)))
            except InputError as error:
                self._fault(_line(value), f"{what}.{key.value}: {error}")
        return found

    def _fields(self, node: yaml.Node, known: Sequence[str], what: str) -> dict[str, yaml.Node]:
        fields: dict[str, yaml.Node] = {}
        for key, value in self._pairs(node, what):
            if key.value in NOT_READ:
                self._fault(_line(key), f"{key.value}: {NOT_READ[key.value]} are not evaluated yet")
            elif key.value not in known:
                near = difflib.get_close_matches(key.value, known, n=1, cutoff=0.0)[0]
                self._fault(_line(key), f"{what} has no {key.value!r}; did you mean {near!r}?")
            elif key.value in fields:
                self._fault(_line(key), f"{key.value!r} stands twice")
            fields[key.value] = value
        return fields

    def _pairs(self, node: yaml.Node | None, what: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self._fault(_line(node), f"{what} must be a mapping")
            return
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key, value
            else:
                self._fault(_line(key), "a key must be a text")

    def _items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        if node is None or _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._fault(_line(node), f"{what} must be a list")
            return []
        return list(node.value)

    def _text(self, node: yaml.Node | None, what: str, parent: yaml.Node) -> str | None:
        if node is None:
            self._fault(_line(parent), f"{what} is missing")
        elif not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            self._fault(_line(node), f"{what} must be a text")
        else:
            return str(node.value)
        return None

    def _duration(self, node: yaml.Node | None, what: str) -> int:
        if node is None:
            return 0
        try:
            found = duration_us(node.value if isinstance(node, yaml.ScalarNode) else math.nan, name=what)
        except (InputError, TypeError) as error:
            self._fault(_line(node), f"{what}: {error}")
            return 0
        if found < 0:
            self._fault(_line(node), f"{what} must not be negative")
        return found

    def _whole(self, node: yaml.Node | None) -> int:
        if node is None:
            return 0
        if not isinstance(node, yaml.ScalarNode) or not node.value.isdecimal():
            self._fault(_line(node), "limit must be a whole number")
            return 0
        return int(node.value)

    def _fault(self, line: int, message: str) -> None:
        self.faults.append(Fault(self.file, line, message))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
