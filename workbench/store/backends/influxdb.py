"""InfluxDB 1.x: the line protocol in, InfluxQL out. A metric is a measurement, a label a tag.

Its floats are finite: a sample that is none has a field `special` (NaN, +Inf, -Inf, stale) in place of `value`. What
the line protocol cannot write in a name or a tag is percent-encoded there. Formats: "InfluxDB line protocol reference"
and "Query data with the InfluxDB API", 1.8.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

import numpy as np

from workbench.errors import ConfigError, StoreError
from workbench.schema import STALE_NAN_BITS
from workbench.store.backends.http import HttpStore
from workbench.store.backends.protocols import LabelledSamples, LabelMatcher, Labels
from workbench.store.backends.samples import by_size

_REQUEST_SAMPLES = 10_000
_STALE = np.array([STALE_NAN_BITS], np.uint64).view(np.float64)[0]
_SPECIALS = {"NaN": np.nan, "+Inf": np.inf, "-Inf": -np.inf, "stale": _STALE}
_CHUNK_ROWS = "10000"
# What has a meaning of its own in a line: the two signs of the encoding, line ends, and a name that begins a comment.
_ENCODED = {"%": "%25", "\n": "%0A", "\r": "%0D", "\\": "%5C", "\0": "%00", "#": "%23"}
_ESCAPED = {",": "\\,", " ": "\\ ", "=": "\\="}


class InfluxDB:
    """`influxdb+http://[user:password@]host:8086?db=NAME`. Keeps nanoseconds; is given microseconds."""

    resolution_us = 1

    def __init__(self, url: str) -> None:
        self._http = HttpStore(url)
        self.url = self._http.shown
        names = parse_qs(self._http.query).get("db", [])
        if len(names) != 1:
            raise ConfigError("the address needs the name of a database", where=self.url, hint="End it with ?db=NAME.")
        self._database = names[0]

    def span_us(self) -> tuple[int, int]:
        """By `first` and `last` over all measurements."""
        bounds = []
        for function, choose in (("first", min), ("last", max)):
            told = [
                series["values"][0][0]
                for field in ("value", "special")
                for series in self._ask(f'SELECT {function}("{field}") FROM /.*/')
            ]
            # A measurement without that field answers nothing.
            if not told:
                return (0, 0)
            bounds.append(choose(told))
        return bounds[0], bounds[1]

    def series(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> list[Labels]:
        """By `SHOW SERIES`: those that there ever were, whatever the time."""
        names, rest = _measurements(matchers)
        found = self._ask(f"SHOW SERIES{names}{_where(rest)}")
        keys = [row[0] for series in found for row in series.get("values", ())]
        return sorted(labels for labels in map(_series_of, keys))

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """Nothing: InfluxDB keeps none."""
        return {}

    def read(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> LabelledSamples:
        """By a selection grouped by all tags."""
        names, rest = _measurements(matchers)
        window = [f"time >= {start_us}u", f"time <= {end_us}u"]
        asked = f'SELECT "value", "special"{names or " FROM /.*/"}{_where(rest, window)} GROUP BY *'
        rows: dict[Labels, list[list[Any]]] = {}
        for series in self._ask(asked):
            tags = {unquote(name): unquote(value) for name, value in series.get("tags", {}).items() if value}
            labels = tuple(sorted({"__name__": unquote(series["name"]), **tags}.items()))
            rows.setdefault(labels, []).extend(series["values"])
        ordered = sorted(rows)
        times = [row[0] for labels in ordered for row in rows[labels]]
        values = [row[1] if row[2] is None else _SPECIALS[row[2]] for labels in ordered for row in rows[labels]]
        offsets = np.cumsum([0, *(len(rows[labels]) for labels in ordered)])
        return LabelledSamples(ordered, offsets, np.array(times, np.int64), np.array(values, np.float64))

    def write(self, samples: LabelledSamples) -> None:
        """By the line protocol; the database is made where it is missing."""
        self._query(f'CREATE DATABASE "{_quoted(self._database)}"', method="POST")
        for part in by_size(samples, _REQUEST_SAMPLES):
            body = "\n".join(_lines(part)).encode()
            self._http.ask("POST", "/write", query=[("db", self._database), ("precision", "u")], body=body)

    def _ask(self, statement: str) -> list[dict[str, Any]]:
        return list(self._query(statement, method="GET"))

    def _query(self, statement: str, *, method: str) -> Iterator[dict[str, Any]]:
        """The series of an answer, in chunks. Raises StoreError with the server's words."""
        fields = [("db", self._database), ("q", statement), ("epoch", "u")]
        chunks = [("chunked", "true"), ("chunk_size", _CHUNK_ROWS)] if method == "GET" else []
        body = self._http.ask(method, "/query", query=[*fields, *chunks])
        found: list[dict[str, Any]] = []
        for line in body.splitlines():
            answer = json.loads(line)
            for result in (answer, *answer.get("results", ())):
                if "error" in result:
                    if "database not found" in result["error"]:
                        return iter(())
                    raise StoreError(result["error"], where=self.url)
                found.extend(result.get("series", ()))
        return iter(found)


def _lines(samples: LabelledSamples) -> Iterator[str]:
    for at, labels in enumerate(samples.labels):
        named = dict(labels)
        tags = "".join(f",{_tag(name)}={_tag(value)}" for name, value in labels if name != "__name__")
        head = _measurement(named.get("__name__", "")) + tags
        lo, hi = samples.offsets[at], samples.offsets[at + 1]
        values = samples.values[lo:hi]
        stale = values.view(np.uint64) == np.uint64(STALE_NAN_BITS)
        finite = np.isfinite(values)
        for time, value, good, ended in zip(
            samples.times_us[lo:hi].tolist(), values.tolist(), finite.tolist(), stale.tolist(), strict=True
        ):
            special = "stale" if ended else "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
            yield f"{head} value={value!r} {time}" if good else f'{head} special="{special}" {time}'


def _encoded(text: str) -> str:
    return "".join(_ENCODED.get(c, c) for c in text)


def _tag(text: str) -> str:
    return "".join(_ESCAPED.get(c, c) for c in _encoded(text))


def _measurement(name: str) -> str:
    if not name:
        raise StoreError("InfluxDB takes no series without a name", hint="Leave them out with --match.")
    return _encoded(name).replace(",", "\\,").replace(" ", "\\ ")


def _series_of(key: str) -> Labels:
    """The labels of a key of `SHOW SERIES`: `measurement,tag=value,…` with backslashes before separators."""
    parts, part, at = [], "", 0
    while at < len(key):
        if key[at] == "\\" and key[at + 1 : at + 2] in (",", " ", "="):
            part += "\0" + key[at + 1]  # a separator that is none
            at += 2
            continue
        if key[at] == ",":
            parts.append(part)
            part = ""
        else:
            part += key[at]
        at += 1
    parts.append(part)
    found = {"__name__": _plain(parts[0])}
    for pair in parts[1:]:
        cut = next(i for i, c in enumerate(pair) if c == "=" and pair[i - 1 : i] != "\0")
        found[_plain(pair[:cut])] = _plain(pair[cut + 1 :])
    return tuple(sorted(found.items()))


def _plain(text: str) -> str:
    return unquote(text.replace("\0", ""))


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _measurements(matchers: Sequence[LabelMatcher]) -> tuple[str, list[LabelMatcher]]:
    """The clause FROM of the conditions on the name that it can say, and all other conditions."""
    for number, one in enumerate(matchers):
        if one.label == "__name__" and one.operator in ("=", "=~"):
            rest = [*matchers[:number], *matchers[number + 1 :]]
            name = f'"{_quoted(_encoded(one.value))}"' if one.operator == "=" else _regex(one.value)
            return f" FROM {name}", rest
    return "", list(matchers)


def _where(matchers: Sequence[LabelMatcher], conditions: Sequence[str] = ()) -> str:
    parts = [*conditions]
    for label, operator, value in matchers:
        name = '"_name"' if label == "__name__" else f'"{_quoted(_encoded(label))}"'
        if operator in ("=", "!="):
            text = _encoded(value).replace("'", "\\'")
            parts.append(f"{name} {operator} '{text}'")
        else:
            parts.append(f"{name} {operator} {_regex(value)}")
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _regex(pattern: str) -> str:
    return "/^(?s:" + pattern.replace("/", "\\/") + ")$/"
