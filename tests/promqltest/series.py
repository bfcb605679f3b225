"""Series as scripts write them: labels, then values in the expanding notation (`1+2x3 _ stale {{count:3}}x2`)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from tests.promqltest.histogram import Histogram, parse_histogram
from workbench import schema
from workbench.query.promql import nodes, parse
from workbench.query.promql.text import parse_duration, parse_number

STALE = struct.unpack("<d", struct.pack("<Q", schema.STALE_NAN_BITS))[0]

Value = float | Histogram | None
"""A sample, or None where there is none."""

_NUMBER = r"(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI]nf|[nN]a[nN])"
_FLOATS = re.compile(rf"([+-]?{_NUMBER})(?:([+-])([+-]?{_NUMBER}))?(?:x(\d+))?")
_HISTOGRAMS = re.compile(r"\{\{(.*?)\}\}(?:([+-])\{\{(.*?)\}\})?(?:x(\d+))?")
_WORD = re.compile(r"(?:\{\{.*?\}\}|\S)+")
_DURATIONS = re.compile(r"([+-]?\d+[a-z]*?)(?:([+-])(\d+[a-z]*?))?(?:x(\d+))?")


def parse_series(line: str) -> tuple[dict[str, str], list[Value]]:
    """Labels and values of a line. Raises ValueError, QuerySyntaxError."""
    name, rest = split_series(line)
    return parse_labels(name), list(parse_values(rest))


def split_series(line: str) -> tuple[str, str]:
    """The part that names the series, and the rest of the line."""
    end = re.match(r"[^\s{]*", line)
    at = end.end() if end else 0
    while at < len(line) and line[at] in " \t":
        at += 1
    if line[at : at + 1] != "{" or line[at : at + 2] == "{{":
        name, *rest = line.split(maxsplit=1)
        return name, " ".join(rest)
    quoted = ""
    for place in range(at, len(line)):
        sign = line[place]
        if quoted:
            if sign == quoted and (quoted == "`" or line[place - 1] != "\\"):
                quoted = ""
        elif sign in "\"'`":
            quoted = sign
        elif sign == "}":
            after = line[place + 1 :]
            return line[: place + 1] + ("@st" if after.startswith("@st") else ""), after.removeprefix("@st")
    raise ValueError(f"a brace is not closed: {line}")


def parse_labels(text: str) -> dict[str, str]:
    """The labels of `name{label="value"}`; those without a value are none."""
    if re.fullmatch(r"\{\s*\}", text):
        return {}
    node = parse(text)
    if not isinstance(node, nodes.Selector) or any(matcher.operator != "=" for matcher in node.matchers):
        raise ValueError(f"not a series: {text}")
    return {matcher.label: matcher.value for matcher in node.matchers if matcher.value}


def parse_values(text: str) -> Iterator[Value]:
    """One value per step. Raises ValueError."""
    for word in _WORD.findall(text):
        if gap := re.fullmatch(r"_(?:x(\d+))?", word):
            yield from [None] * int(gap[1] or 1)
        elif word == "stale":
            yield STALE
        elif match := _HISTOGRAMS.fullmatch(word):
            yield from _histograms(*match.groups())
        elif match := _FLOATS.fullmatch(word):
            yield from _floats(*match.groups())
        else:
            raise ValueError(f"not a value: {word}")


def parse_starts(text: str) -> Iterator[int | None]:
    """Start times of samples, relative to their times (`-1m -30s-1mx2 _`): microseconds."""
    for word in text.split():
        if gap := re.fullmatch(r"_(?:x(\d+))?", word):
            yield from [None] * int(gap[1] or 1)
            continue
        match = _DURATIONS.fullmatch(word)
        if not match:
            raise ValueError(f"not a start time: {word}")
        first, sign, step, times = match.groups()
        start = _signed_us(first)
        grows = (-1 if sign == "-" else 1) * _signed_us(step) if step else 0
        yield from (start + grows * turn for turn in range(int(times or 0) + 1))


def number(text: str) -> float:
    """A number with an optional sign. Raises QuerySyntaxError."""
    value = parse_number(text.lstrip("+-"))
    return -value if text.startswith("-") else value


def _signed_us(text: str) -> int:
    bare = text.lstrip("+-")
    us = 0 if bare == "0" else parse_duration(bare)
    return -us if text.startswith("-") else us


def _floats(first: str, sign: str | None, step: str | None, times: str | None) -> Iterator[float]:
    if step and not times:
        raise ValueError(f"without a number of repeats: {first}{sign}{step}")
    value = number(first)
    grows = number(step) * (-1 if sign == "-" else 1) if step else 0.0
    for _ in range(int(times or 0) + 1):
        yield value
        value += grows


def _histograms(first: str, sign: str | None, step: str | None, times: str | None) -> Iterator[Histogram]:
    value = parse_histogram(first)
    grows = parse_histogram(step) if step is not None else None
    for _ in range(int(times or 0) + 1):
        yield value
        if grows is not None:
            value = value.plus(grows, -1.0 if sign == "-" else 1.0)
