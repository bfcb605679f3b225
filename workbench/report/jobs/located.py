"""A YAML document whose faults are found all at once, each with its file and line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Fault:
    """Something wrong in a file; `line` counts from 1."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass
class Document:
    """One file whose root is a mapping. What is asked for and has the wrong type is a fault, and counts as missing."""

    file: Path
    faults: list[Fault] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def read(self, known: Sequence[str]) -> None:
        """Read the file; a key that is not `known` is a fault that names the nearest one."""
        try:
            root = yaml.compose(self.file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except OSError as error:
            return self.fault(1, f"cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            return self.fault(1, "is not UTF-8 text")
        except yaml.MarkedYAMLError as error:
            return self.fault(error.problem_mark.line + 1 if error.problem_mark else 1, f"not YAML: {error.problem}")
        except (yaml.YAMLError, RecursionError) as error:
            return self.fault(1, f"not YAML: {(str(error).splitlines() or ['nested too deeply'])[0]}")
        if not isinstance(root, yaml.MappingNode):
            return self.fault(1, "the file must be a mapping")
        for key, value in root.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
                self.fault(line, f"there is no key {name!r}; did you mean {near!r}?")
            elif name in self.values:
                self.fault(line, f"{name!r} stands twice")
                continue
            self._note_lines(name, value)
            self.lines[name] = line
            try:
                self.values[name] = yaml.SafeLoader("").construct_document(value)
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                self.fault(line, f"{name}: {str(error).splitlines()[0]}")
        return None

    def _note_lines(self, name: str, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                self.lines[f"{name}.{key.value}"] = key.start_mark.line + 1

    def fault(self, place: int | str, message: str) -> None:
        """Note a fault at a line or at a key (`parameters.factor` is a key below one)."""
        line = place if isinstance(place, int) else self.lines.get(place, self.lines.get(place.partition(".")[0], 1))
        self.faults.append(Fault(self.file, line, message))

    def text(self, key: str, default: str | None = "") -> str:
        """A text; `default` None means that it must be there."""
        found = self.values.get(key)
        if isinstance(found, str) and found.strip():
            return found.strip()
        if found is not None:
            self.fault(key, f"{key} must be a text, not {found!r}")
        elif default is None:
            self.fault(1, f"{key} is missing")
        return default or ""

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        found = self.values.get(key)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            self.fault(key, f"{key} must be a whole number from {low} to {high}, not {found!r}")
            return default
        return found

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """One of some words."""
        found = self.values.get(key, default)
        if found in allowed:
            return str(found)
        near = difflib.get_close_matches(str(found), allowed, n=1, cutoff=0.0)[0]
        self.fault(key, f"{key} cannot be {found!r}; did you mean {near!r}?")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.values.get(key)
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.fault(key, f"{key} must be a list of texts")
            return ()
        return tuple(found)
