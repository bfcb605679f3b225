"""The script language in which Prometheus describes its evaluator, as far as our scripts need it.

    load STEP                      samples from time 0 on, one series a line: name{label="x"} 1 2 _ stale 0+10x5
    eval instant at T EXPR         then the series and their value, or a number for a scalar
    eval range from A to B step S EXPR
    expect fail WORDS              instead of results
    expect ordered                 the order of the series counts
    clear

A blank line ends a block; `#` starts a comment.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.query.arrays import ArrayView
from workbench import schema
from workbench.errors import QueryError
from workbench.query import Result, instant, parse, range_query
from workbench.query.promql.text import parse_duration, parse_number

STALE = struct.unpack("<d", struct.pack("<Q", schema.STALE_NAN_BITS))[0]


@dataclass
class Case:
    """One `eval` with what it should give."""

    line: int
    view: ArrayView
    kind: str
    times_us: list[int]
    expr: str
    expected: list[tuple[dict[str, str] | None, list[float | None]]] = field(default_factory=list)
    fails: str | None = None
    ordered: bool = False

    def run(self) -> None:
        """Evaluate and compare."""
        if self.fails is not None:
            with pytest.raises(QueryError) as refused:
                self._evaluate()
            assert self.fails in str(refused.value), f"line {self.line}: {refused.value}"
            return
        result = self._evaluate()
        found = [
            ({} if result.kind == "scalar" else labels, [_shown(v, p) for v, p in zip(values, present, strict=True)])
            for labels, values, present in zip(result.labels, result.values, result.present, strict=True)
        ]
        wanted = [(labels or {}, values) for labels, values in self.expected]
        if not self.ordered:
            found.sort(key=lambda one: sorted(one[0].items()))
            wanted.sort(key=lambda one: sorted(one[0].items()))
        assert [labels for labels, _ in found] == [labels for labels, _ in wanted], f"line {self.line}: {self.expr}"
        for (labels, mine), (_, theirs) in zip(found, wanted, strict=True):
            same = len(mine) == len(theirs) and all(map(_close, mine, theirs))
            assert same, f"line {self.line}: {self.expr} {labels}: {mine} is not {theirs}"

    def _evaluate(self) -> Result:
        if self.kind == "instant":
            return instant(self.view, self.expr, self.times_us[0])
        return range_query(self.view, self.expr, *self.times_us)


def read(text: str) -> Iterator[Case]:
    """The cases of a script, each with the view that was loaded before it."""
    view = ArrayView()
    case: Case | None = None
    step_us = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("# ")[0].strip() if not raw.strip().startswith("#") else ""
        if not line:
            if case:
                yield case
            case, step_us = None, 0
        elif line == "clear":
            view = ArrayView()
        elif line.startswith("load "):
            step_us = parse_duration(line.split()[1])
        elif line.startswith("eval "):
            case = _case(number, view, line)
        elif step_us:
            _load(view, line, step_us)
        elif case and line.startswith("expect fail"):
            case.fails = line.removeprefix("expect fail").strip()
        elif case and line == "expect ordered":
            case.ordered = True
        elif case:
            case.expected.append(_expected(line))
        else:
            raise ValueError(f"line {number}: {raw}")
    if case:
        yield case


def _case(number: int, view: ArrayView, line: str) -> Case:
    match = re.fullmatch(r"eval (?:(instant) at (\S+)|(range) from (\S+) to (\S+) step (\S+)) (.*)", line)
    assert match, f"line {number}: {line}"
    kind, at, _, start, end, step, expr = match.groups()
    times = [parse_duration(time) if time != "0" else 0 for time in ([at] if kind else [start, end, step])]
    return Case(number, view, kind or "range", times, expr)


def _series(line: str) -> tuple[dict[str, str], str]:
    match = re.fullmatch(r"([\w:]*(?:\{[^}]*\})?)\s+(.*)", line)
    assert match, line
    name, rest = match.groups()
    if name == "{}":
        return {}, rest
    labels = {}
    for matcher in parse(name).matchers:
        labels[matcher.label] = matcher.value
    return labels, rest


def _load(view: ArrayView, line: str, step_us: int) -> None:
    labels, rest = _series(line)
    values = list(_values(rest))
    kept = [place for place, value in enumerate(values) if value is not None]
    name = labels.pop("__name__")
    view.metric(name, labels, [place * step_us / 1e6 for place in kept], [values[place] for place in kept])


def _values(text: str) -> Iterator[float | None]:
    for word in text.split():
        match = re.fullmatch(r"(-?[\d.]+)([+-][\d.]+)?x(\d+)", word)
        if match:
            start, grows, times = float(match[1]), float(match[2] or 0), int(match[3])
            yield from (start + grows * turn for turn in range(times + 1))
        elif re.fullmatch(r"_(x\d+)?", word):
            yield from [None] * int(word[2:] or 1)
        elif word == "stale":
            yield STALE
        else:
            yield parse_number(word.lstrip("+-")) * (-1 if word.startswith("-") else 1)


def _expected(line: str) -> tuple[dict[str, str] | None, list[float | None]]:
    if re.fullmatch(r"[-+.\deNaInf]+", line):
        return None, list(_values(line))
    labels, rest = _series(line)
    return labels, list(_values(rest))


def _shown(value: float, present: bool) -> float | None:
    return float(value) if present else None


def _close(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.isclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)) or a == b or (math.isnan(a) and math.isnan(b))
