"""OpenMetrics text (and Prometheus' own, its older sister), line by line.

Source: https://prometheus.io/docs/specs/om/open_metrics_spec/. Time stamps are seconds; numbers of 10^11 and more
are read as the milliseconds of the older format. Exemplars are not kept.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from workbench.errors import InputError
from workbench.ingest.files.piece import BadRow, Piece
from workbench.ingest.points import Member
from workbench.store import Identity

PIECE_LINES = 200_000
MAX_LINE_CHARACTERS = 2**20

_NAME = r'[^\s{}"#,=]+'
_LABEL = re.compile(rf'\s*(?P<name>{_NAME}|"(?:[^"\\]|\\.)*")\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*,?')
_SAMPLE = re.compile(
    rf"""(?P<name>{_NAME})?(?P<labels>\{{(?:[^"}}]|"(?:[^"\\]|\\.)*")*\}})?\s+"""
    r"""(?P<value>\S+)(?:\s+(?P<time>[^\s#]+))?\s*(?:\#.*)?"""
)
_QUOTED_NAME = re.compile(r'\{\s*"(?P<name>(?:[^"\\]|\\.)*)"\s*,?')
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
_SUFFIXES = ("_total", "_created", "_bucket", "_count", "_sum", "_info", "_gsum", "_gcount")


def read_openmetrics(path: Path) -> Iterator[Piece]:
    """Pieces of a text file, plain or .gz. Raises InputError where it is no text."""
    families = _Families()
    size = max(1, path.stat().st_size)
    taken = 0
    lines: list[tuple[int, str]] = []
    try:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                taken += len(line)
                lines.append((number, line))
                if len(lines) >= PIECE_LINES:
                    yield _piece(lines, families, min(0.99, taken / size))
                    lines = []
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", where=str(path)) from error
    yield _piece(lines, families, 1.0)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


class _Families:
    """What the comment lines said so far: type, unit and help of each family."""

    def __init__(self) -> None:
        self.type: dict[str, str] = {}
        self.unit: dict[str, str] = {}
        self.help: dict[str, str] = {}

    def note(self, line: str) -> None:
        """Take a comment line."""
        parts = line.split(None, 3)
        if len(parts) >= 3 and parts[1] in ("TYPE", "UNIT", "HELP"):
            getattr(self, parts[1].lower())[parts[2]] = parts[3].strip() if len(parts) == 4 else ""

    def member(self, name: str, labels: dict[str, str]) -> Member:
        """The series of a sample."""
        stems = [name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)]
        family = next((stem for stem in stems if stem in self.type), name)
        attributes = tuple(sorted((key, value) for key, value in labels.items() if value))
        kind = self.type.get(family, "unknown")
        identity = Identity("prometheus", name, kind, self.unit.get(family, ""), "", (), attributes)
        return Member(identity, self.help.get(family, ""), "")


def _piece(lines: list[tuple[int, str]], families: _Families, share: float) -> Piece:
    known: dict[Identity, int] = {}
    members: list[Member] = []
    columns: list[tuple[int, int, float, int]] = []
    bad: list[BadRow] = []
    for number, line in lines:
        text = line.strip()
        if text.startswith("#"):
            families.note(text)
        elif text:
            sample = parse_sample(text)
            if isinstance(sample, str):
                bad.append(BadRow(number, sample, text))
                continue
            name, labels, time_us, value = sample
            member = families.member(name, labels)
            if member.identity not in known:
                known[member.identity] = len(members)
                members.append(member)
            columns.append((known[member.identity], time_us, value, number))
    series, times, values, places = zip(*columns, strict=True) if columns else ((), (), (), ())
    return Piece(
        members, np.array(series, np.int64), np.array(times, np.int64), np.array(values, np.float64),
        np.array(places, np.int64), bad, share,
    )  # fmt: skip


def parse_sample(text: str) -> tuple[str, dict[str, str], int, float] | str:
    """(name, labels, time in µs, value) of a sample line, or what is wrong with it."""
    match = _SAMPLE.fullmatch(text) if len(text) <= MAX_LINE_CHARACTERS else None
    if match is None:
        return "not a sample: name{labels} value time"
    name, inner = match["name"] or "", (match["labels"] or "{}")
    at = 1
    quoted = _QUOTED_NAME.match(inner)
    if not name and quoted:
        name, at = _unescape(quoted["name"]), quoted.end()
    labels: dict[str, str] = {}
    while inner[at:-1].strip():
        label = _LABEL.match(inner, at, len(inner) - 1)
        if label is None:
            return "its labels are not readable"
        key = _unescape(label["name"][1:-1]) if label["name"].startswith('"') else label["name"]
        if key in labels:
            return f"label {key!r} is given twice"
        labels[key] = _unescape(label["value"])
        at = label.end()
    if not name:
        return "it has no name"
    if match["time"] is None:
        return "it has no time stamp"
    try:
        value, time = float(match["value"]), float(match["time"])
        time_us = round(time * (1e3 if abs(time) >= 1e11 else 1e6))
    except (ValueError, OverflowError):
        return "its value or time is no number"
    if abs(time_us) >= 2**53:
        return "its time is out of range"
    return name, labels, time_us, value


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)
