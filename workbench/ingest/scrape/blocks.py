"""YAML read block by block, with all faults at once, each with its file and line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from workbench.errors import InputError
from workbench.query import duration_us

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{letter}{suffix}": 1024**n for n, letter in enumerate("KMGT", 1) for suffix in ("B", "iB", "")}


@dataclass(frozen=True)
class Fault:
    """Something wrong in a file; `line` counts from 1."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass
class Block:
    """A mapping of a file. What is asked for and has the wrong type is a fault, and counts as missing."""

    file: Path
    line: int
    name: str
    nodes: dict[str, yaml.Node]
    faults: list[Fault]
    lines: dict[str, int] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def fault(self, key: str, message: str) -> None:
        """Note a fault at a key, or at the block itself where it has no such key."""
        self.faults.append(Fault(self.file, self.lines.get(key, self.line), message))

    def has(self, key: str) -> bool:
        """Whether the key is there, and not null."""
        self.asked.add(key)
        node = self.nodes.get(key)
        return node is not None and node.tag != "tag:yaml.org,2002:null"

    def text(self, key: str, default: str = "") -> str:
        """A scalar as the text that stands there."""
        if not self.has(key):
            return default
        node = self.nodes[key]
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.fault(key, f"{key} must be a text")
        return default

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """One of some words."""
        found = self.text(key, default)
        if found in allowed or not self.has(key):
            return found
        near = difflib.get_close_matches(found, allowed, n=1, cutoff=0.0)[0]
        self.fault(key, f"{key} cannot be {found!r}; did you mean {near!r}?")
        return default

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        found = self.text(key, str(default)).lower()
        if found in ("true", "false"):
            return found == "true"
        self.fault(key, f"{key} must be true or false, not {found!r}")
        return default

    def whole(self, key: str, default: int = 0) -> int:
        """A whole number, not negative."""
        found = self.text(key, str(default))
        if found.isascii() and found.isdigit():
            return int(found)
        self.fault(key, f"{key} must be a whole number, not {found!r}")
        return default

    def seconds(self, key: str, default: float) -> float:
        """A duration such as `1m30s`, over 0, in seconds."""
        if not self.has(key):
            return default
        found = self.text(key)
        try:
            us = 0 if found.replace(".", "").isdigit() else duration_us(found)
        except InputError:
            us = 0
        if us <= 0:
            self.fault(key, f"{key} must be a duration such as 15s or 1m, not {found!r}")
            return default
        return us / 1e6

    def bytes(self, key: str, default: int = 0) -> int:
        """A size such as `10MB` (of 1024), in bytes."""
        found = self.text(key, str(default)).strip()
        number = found.rstrip("KMGTiB")
        unit = found[len(number) :]
        if number.isascii() and number.isdigit() and unit in _UNITS:
            return int(number) * _UNITS[unit]
        self.fault(key, f"{key} must be a size such as 10MB, not {found!r}")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of scalars."""
        return tuple(str(node.value) for node in self._items(key) if self._is(node, yaml.ScalarNode, key, "a text"))

    def mapping(self, key: str) -> dict[str, str]:
        """A mapping of text to text."""
        node = self.nodes.get(key)
        if not self.has(key) or node is None or not self._is(node, yaml.MappingNode, key, "a mapping"):
            return {}
        return {
            str(name.value): str(value.value)
            for name, value in node.value
            if self._is(value, yaml.ScalarNode, f"{key}.{name.value}", "a text")
        }

    def lists(self, key: str) -> dict[str, tuple[str, ...]]:
        """A mapping of text to a list of texts."""
        inner = self.block(key)
        return {name: inner.texts(name) for name in inner.nodes} if inner else {}

    def block(self, key: str) -> Block | None:
        """A block below this one; None where there is none."""
        return self._block(self.nodes[key], key) if self.has(key) else None

    def blocks(self, key: str) -> list[Block]:
        """A list of blocks."""
        return [block for node in self._items(key) if (block := self._block(node, key))]

    def end(self) -> None:
        """Nothing more is asked for: what stands there beside is a fault that names the nearest key."""
        for key in self.nodes.keys() - self.asked:
            near = difflib.get_close_matches(key, sorted(self.asked), n=1, cutoff=0.0)
            self.fault(key, f"{self.name} has no key {key!r}; did you mean {near[0]!r}?")

    def _items(self, key: str) -> list[yaml.Node]:
        if not self.has(key):
            return []
        node = self.nodes[key]
        return list(node.value) if self._is(node, yaml.SequenceNode, key, "a list") else []

    def _is(self, node: yaml.Node, kind: type[yaml.Node], key: str, what: str) -> bool:
        if isinstance(node, kind):
            return True
        self.faults.append(Fault(self.file, _line(node), f"{key} must be {what}"))
        return False

    def _block(self, node: yaml.Node, key: str) -> Block | None:
        return _block_of(node, self.file, key, self.faults)


def read_root(file: Path, faults: list[Fault]) -> Block | None:
    """The root of a YAML (or JSON) file that is a mapping; None, with a fault noted, where it is none."""
    node = read_node(file, faults)
    return _block_of(node, file, "the file", faults) if node is not None else None


def read_roots(file: Path, faults: list[Fault]) -> list[Block]:
    """The blocks of a file that is a list of mappings."""
    node = read_node(file, faults)
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        faults.append(Fault(file, _line(node), "the file must be a list"))
        return []
    return [block for item in node.value if (block := _block_of(item, file, "a target group", faults))]


def read_node(file: Path, faults: list[Fault]) -> yaml.Node | None:
    """The root node of a file; None where it is empty or, with a fault noted, cannot be read."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        faults.append(Fault(file, 1, f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        faults.append(Fault(file, 1, "is not UTF-8 text"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.append(Fault(file, line, f"not YAML: {error.problem}"))
    except (yaml.YAMLError, RecursionError) as error:
        faults.append(Fault(file, 1, f"not YAML: {(str(error).splitlines() or ['nested too deeply'])[0]}"))
    else:
        return root
    return None


def _block_of(node: yaml.Node, file: Path, name: str, faults: list[Fault]) -> Block | None:
    if not isinstance(node, yaml.MappingNode):
        faults.append(Fault(file, _line(node), f"{name} must be a mapping"))
        return None
    block = Block(file, _line(node), name, {}, faults)
    for key, value in node.value:
        if str(key.value) in block.nodes:
            faults.append(Fault(file, _line(key), f"{key.value!r} stands twice"))
        block.nodes[str(key.value)] = value
        block.lines[str(key.value)] = _line(key)
    return block


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
