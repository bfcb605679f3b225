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

from workbench.alert.rules import RecordingRule, Rule, RuleGroup
from workbench.alert.templates import Template, compile_template
from workbench.errors import ConfigError, InputError, QueryError
from workbench.query import duration_us, parse

GROUP_KEYS = ("name", "interval", "rules", "labels", "limit", "query_offset")
RULE_KEYS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
ALERTS_ONLY = ("for", "keep_firing_for", "annotations")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class Fault:
    """Something wrong in a rule file; `line` counts from 1."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


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
        offset_us = self._duration(fields.get("query_offset"), "query_offset")
        limit = self._whole(fields.get("limit"))
        common = self._templates(fields.get("labels"), "labels")
        found = [self._rule(item, common) for item in self._items(fields.get("rules"), "rules")]
        if name is None:
            return None
        rules: list[Rule | RecordingRule] = []
        for rule in found:
            if rule is None:
                continue
            # Not the line: an edit further up must not end an alert and begin another.
            ordinal = sum(other.name == rule.name for other in rules)
            rules.append(replace(rule, key=f"{self.file.name}/{name}/{rule.name}/{ordinal}"))
        return RuleGroup(name, self.file, interval_us, limit, tuple(rules), offset_us)

    def _rule(self, node: yaml.Node, common: Sequence[tuple[str, Template]]) -> Rule | RecordingRule | None:
        fields = self._fields(node, RULE_KEYS, "a rule")
        if "record" in fields:
            return self._recording_rule(node, fields, common)
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

    def _recording_rule(
        self, node: yaml.Node, fields: dict[str, yaml.Node], common: Sequence[tuple[str, Template]]
    ) -> RecordingRule | None:
        if "alert" in fields:
            self._fault(_line(node), "a rule has either record or alert")
        for name in ALERTS_ONLY:
            if name in fields:
                self._fault(_line(fields[name]), f"{name} does not belong to a recording rule")
        record = self._text(fields.get("record"), "record", node)
        expr = self._text(fields.get("expr"), "expr", node)
        query = self._query(expr, fields["expr"]) if expr is not None else None
        labels = {**dict(common), **dict(self._templates(fields.get("labels"), "labels"))}
        if record is None or expr is None or query is None:
            return None
        if "{" in record or "}" in record:
            self._fault(_line(fields["record"]), "record is the name of a series, without braces")
            return None
        pairs = tuple((name, template.source) for name, template in labels.items())
        return RecordingRule(record, expr, query, pairs, key="")

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
            text = self._text(value, key.value, value, empty=what == "labels")  # which takes the label away
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
            if key.value not in known:
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

    def _text(self, node: yaml.Node | None, what: str, parent: yaml.Node, *, empty: bool = False) -> str | None:
        if node is None:
            self._fault(_line(parent), f"{what} is missing")
        elif not isinstance(node, yaml.ScalarNode) or not (empty or node.value.strip()):
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
