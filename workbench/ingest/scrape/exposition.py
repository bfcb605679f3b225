"""The text formats of a scrape: Prometheus' own (0.0.4, 1.0.0) and OpenMetrics, line by line.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/. A line that cannot be read makes the whole scrape fail, as it
does in Prometheus: what is half understood is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from workbench.errors import InputError

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_SERIES = rf'(?P<series>(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?(?:[ \t]*\{{(?:[^"{{}}]|{_QUOTED})*\}})?)'
_TEXT = re.compile(rf"{_SERIES}[ \t]+(?P<value>[^\s#]+)(?:[ \t]+(?P<time>-?[0-9]+))?[ \t]*")
_OPENMETRICS = re.compile(
    rf"{_SERIES} (?P<value>[^\s#]+)(?: (?P<time>[^\s#]+))?"
    rf'(?: # (?P<exemplar>\{{(?:[^"{{}}]|{_QUOTED})*\}}) (?P<exemplar_value>\S+)(?: (?P<exemplar_time>\S+))?)?'
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_QUOTED_NAME = re.compile(rf"\s*(?P<name>{_QUOTED})\s*(?:,|$)")
_LABEL = re.compile(rf"\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*|{_QUOTED})\s*=\s*(?P<value>{_QUOTED})\s*(?:,|$)")
_COMMENT = re.compile(rf"#\s+(?P<what>TYPE|HELP|UNIT)\s+(?P<name>{_QUOTED}|\S+)(?:[ \t](?P<text>.*))?", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("_count", "_sum", "_created"),
    "info": ("_info",),
}
_MAX_US = 2**53


class Sample(NamedTuple):
    """One line: the text that names its series, its value, its time (µs UTC, 0 none), an exemplar as the schema's.

    `start_us`: since when it counts, 0 where it does not say; `histogram`: a native one in the place of a value.
    """

    series: str
    value: float
    time_us: int = 0
    exemplar: dict[str, Any] | None = None
    start_us: int = 0
    histogram: dict[str, Any] | None = None


@dataclass
class Families:
    """What the comments of a scrape said so far: type, unit and help by the family's name."""

    type: dict[str, str] = field(default_factory=dict)
    unit: dict[str, str] = field(default_factory=dict)
    help: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """The family that a sample of that name belongs to."""
        at = name.rfind("_")
        if at > 0 and name not in self.type and name[at:] in _SUFFIXES.get(self.type.get(name[:at], ""), ()):
            return name[:at]
        return name

    def note(self, line: str) -> None:
        """Take a comment line."""
        match = _COMMENT.fullmatch(line)
        if match is None:
            return
        name = _unquote(match["name"]) if match["name"].startswith('"') else match["name"]
        text = match["text"] or ""
        match match["what"]:
            case "TYPE":
                self.type[name] = {"untyped": "unknown", "stateset": "gauge"}.get(text.strip(), text.strip())
            case "HELP":
                self.help[name] = _unescape(text)
            case "UNIT":
                self.unit[name] = text.strip()


def read_text(body: str, families: Families, known: Container[str] = ()) -> Iterator[Sample]:
    """The samples of a body in Prometheus' text format. Series among `known` are not looked at again.

    Raises InputError that names the line.
    """
    for number, line in enumerate(body.split("\n"), 1):
        series, _, value = line.rpartition(" ")
        if series in known:
            yield Sample(series, _number(value, number))
            continue
        stripped = line.strip(" \t\r")
        if not stripped:
            continue
        if stripped[0] == "#":
            families.note(stripped)
            continue
        match = _TEXT.fullmatch(stripped)
        if match is None or not match["series"]:
            raise _unreadable(line, number)
        time_us = _bounded(int(match["time"]) * 1000, number) if match["time"] else 0
        yield Sample(match["series"], _number(match["value"], number), time_us)


def read_openmetrics(body: str, families: Families, known: Container[str] = ()) -> Iterator[Sample]:
    """The samples of a body in OpenMetrics. Raises InputError that names the line, also where the end is missing."""
    head, end, rest = body.rpartition("# EOF")
    if not end or rest not in ("", "\n") or (head and head[-1] != "\n"):
        raise InputError('data does not end with "# EOF"')
    for number, line in enumerate(head.split("\n")[:-1], 1):
        series, _, value = line.rpartition(" ")
        if series in known:
            yield Sample(series, _number(value, number))
            continue
        if line.startswith("#"):
            families.note(line)
            continue
        match = _OPENMETRICS.fullmatch(line)
        if match is None or not match["series"]:
            raise _unreadable(line, number)
        time_us = _time_us(match["time"], number) if match["time"] else 0
        exemplar = _exemplar(match, number) if match["exemplar"] else None
        yield Sample(match["series"], _number(match["value"], number), time_us, exemplar)


def read_series(text: str) -> dict[str, str]:
    """The labels that the text of a series says, its name as `__name__`. Raises InputError."""
    name = _NAME.match(text)
    labels = {"__name__": name[0]} if name else {}
    at = text.find("{")
    if at < 0:
        return labels
    inner = text[at + 1 : text.rindex("}")]
    place = 0
    quoted = _QUOTED_NAME.match(inner)
    if quoted:
        if labels:
            raise InputError(f"{text[:200]}: it has two names")
        labels["__name__"] = _unquote(quoted["name"])
        place = quoted.end()
    while inner[place:].strip():
        label = _LABEL.match(inner, place)
        if label is None:
            raise InputError(f"{text[:200]}: its labels are not readable")
        key = _unquote(label["name"]) if label["name"].startswith('"') else label["name"]
        if key in labels:
            raise InputError(f"{text[:200]}: label {key!r} is given twice")
        labels[key] = _unquote(label["value"])
        place = label.end()
    return labels


def _exemplar(match: re.Match[str], number: int) -> dict[str, Any]:
    """An exemplar as the schema has it; one without a time was seen at the scrape (`time` None)."""
    labels = read_series(match["exemplar"])
    return {
        "time": _time_us(match["exemplar_time"], number) if match["exemplar_time"] else None,
        "value": _number(match["exemplar_value"], number),
        "trace_id": labels.pop("trace_id", None),
        "span_id": labels.pop("span_id", None),
        "attributes": sorted(labels.items()),
    }


def _number(text: str, line: int) -> float:
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise InputError(f"{text[:40]!r} is no number", where=f"line {line}") from None


def _time_us(text: str, line: int) -> int:
    seconds = _number(text, line)
    if not abs(seconds) * 1e6 < _MAX_US:
        raise InputError(f"{text[:40]!r} is no time", where=f"line {line}")
    return round(seconds * 1000) * 1000


def _bounded(time_us: int, line: int) -> int:
    if abs(time_us) >= _MAX_US:
        raise InputError("its time is out of range", where=f"line {line}")
    return time_us


def _unreadable(line: str, number: int) -> InputError:
    return InputError(f"not a sample: {line[:120]!r}", where=f"line {number}")


def _unquote(text: str) -> str:
    return _unescape(text[1:-1])


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), text) if "\\" in text else text
