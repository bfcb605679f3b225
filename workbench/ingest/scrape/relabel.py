"""Relabelling: rules that rewrite, keep or drop a set of labels.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config. Regular expressions
are anchored at both ends and `.` matches a newline. They run in Python's `re`: RE2's `\\pL`, `\\z` and the like are
refused where the rule is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

ACTIONS = (
    "replace", "keep", "drop", "keepequal", "dropequal", "hashmod",
    "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase",
)  # fmt: skip
DEFAULT_REGEX = "(.*)"
_REFERENCE = re.compile(r"\$(?:\$|\{(?P<braced>[^}]*)\}|(?P<plain>[A-Za-z0-9_]+))")


@dataclass(frozen=True)
class Rule:
    """One step of relabelling."""

    action: str = "replace"
    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    target_label: str = ""
    regex: re.Pattern[str] = re.compile(DEFAULT_REGEX, re.DOTALL)
    modulus: int = 0
    replacement: str = "$1"


def relabel(labels: dict[str, str], rules: Sequence[Rule]) -> dict[str, str] | None:
    """The labels after all rules, without empty ones; None where a rule drops them. The argument is left as it is."""
    found = dict(labels)
    for rule in rules:
        if not _apply(rule, found):
            return None
    return {name: value for name, value in found.items() if value}


def _apply(rule: Rule, labels: dict[str, str]) -> bool:
    """Apply one rule in place; False drops all."""
    value = rule.separator.join(labels.get(name, "") for name in rule.source_labels)
    match rule.action:
        case "keep":
            return rule.regex.fullmatch(value) is not None
        case "drop":
            return rule.regex.fullmatch(value) is None
        case "keepequal":
            return labels.get(rule.target_label, "") == value
        case "dropequal":
            return labels.get(rule.target_label, "") != value
        case "replace":
            _replace(rule, value, labels)
        case "hashmod":
            digest = int.from_bytes(hashlib.md5(value.encode(), usedforsecurity=False).digest()[8:], "big")
            labels[rule.target_label] = str(digest % rule.modulus)
        case "lowercase" | "uppercase":
            labels[rule.target_label] = value.lower() if rule.action == "lowercase" else value.upper()
        case "labelmap":
            for name, one in list(labels.items()):
                if hit := rule.regex.fullmatch(name):
                    labels[expand(rule.replacement, hit)] = one
        case "labeldrop" | "labelkeep":
            for name in list(labels):
                if (rule.regex.fullmatch(name) is not None) == (rule.action == "labeldrop"):
                    del labels[name]
    return True


def _replace(rule: Rule, value: str, labels: dict[str, str]) -> None:
    hit = rule.regex.fullmatch(value)
    if hit is None:
        return
    target = expand(rule.target_label, hit)
    if not target:
        return
    replacement = expand(rule.replacement, hit)
    if replacement:
        labels[target] = replacement
    else:
        labels.pop(target, None)


def expand(template: str, hit: re.Match[str]) -> str:
    """`$1`, `${1}` and `${name}` of a template, as Go's `Expand`: `$1x` names the group `1x`; unknown ones are ''."""

    def group(reference: re.Match[str]) -> str:
        name = reference["braced"] if reference["braced"] is not None else reference["plain"]
        if name is None:
            return "$"
        try:
            return hit[int(name)] or "" if name.isdigit() else hit[name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(group, template) if "$" in template else template
