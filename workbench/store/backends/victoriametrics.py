"""VictoriaMetrics, single node: remote write in, `/api/v1/export` out; it speaks no remote read.

Its export writes every NaN as null; they are read as staleness markers, which is what senders write NaNs for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.errors import StoreError
from workbench.schema import STALE_NAN_BITS
from workbench.store.backends.http import HttpStore
from workbench.store.backends.protocols import LabelledSamples, LabelMatcher, Labels
from workbench.store.backends.remote_protocol import write_request
from workbench.store.backends.samples import by_size, selector

_REQUEST_SAMPLES = 50_000
_STALE = np.array([STALE_NAN_BITS], np.uint64).view(np.float64)[0]
_AHEAD_US = 2 * 86_400_000_000
_INFINITIES = {"Infinity": np.inf, "-Infinity": -np.inf}


class VictoriaMetrics:
    """`victoriametrics+http://[user:password@]host:8428[/path]`. Keeps milliseconds."""

    resolution_us = 1000

    def __init__(self, url: str) -> None:
        self._http = HttpStore(url)
        self.url = self._http.shown

    def span_us(self) -> tuple[int, int]:
        """By MetricsQL's `tfirst_over_time` and `tlast_over_time` over everything."""
        bounds = []
        for function in ("min(tfirst_over_time", "max(tlast_over_time"):
            query = f'{function}({{__name__=~".+"}}[100y]))'
            found = self._api("query", [("query", query), ("nocache", "1")])["result"]
            if not found:
                return (0, 0)
            bounds.append(int(float(found[0]["value"][1]) * 1e6))
        return bounds[0], bounds[1]

    def series(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> list[Labels]:
        """As `/api/v1/series` answers."""
        found = self._api("series", [("match[]", selector(matchers)), *_window(start_us, end_us)])
        return sorted(tuple(sorted((name, value) for name, value in labels.items() if value)) for labels in found)

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """As `/api/v1/metadata` answers."""
        found = self._api("metadata", [])
        return {name: (one[0]["type"], one[0].get("unit", ""), one[0]["help"]) for name, one in found.items() if one}

    def read(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> LabelledSamples:
        """By export, a line of JSON a series; a series may come in several lines."""
        asked = [("match[]", selector(matchers)), *_window(start_us, end_us)]
        body = self._http.ask("GET", "/api/v1/export", query=asked)
        times: dict[Labels, list[int]] = {}
        values: dict[Labels, list[float]] = {}
        try:
            for line in body.splitlines():
                one = json.loads(line)
                labels = tuple(sorted(one["metric"].items()))
                times.setdefault(labels, []).extend(one["timestamps"])
                values.setdefault(labels, []).extend(map(_value, one["values"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"the export is malformed: {error!r}", where=self.url) from error
        ordered = sorted(times)
        offsets = np.cumsum([0, *(len(times[labels]) for labels in ordered)])
        at_ms = np.array([at for labels in ordered for at in times[labels]], np.int64)
        found = np.array([value for labels in ordered for value in values[labels]], np.float64)
        # What was written twice is exported twice.
        series = np.repeat(np.arange(len(ordered)), np.diff(offsets))
        order = np.lexsort((at_ms, series))
        at_ms, found = at_ms[order], found[order]
        keep = np.append((at_ms[1:] != at_ms[:-1]) | (series[1:] != series[:-1]), True)[: len(at_ms)]
        counts = np.bincount(series[keep], minlength=len(ordered))
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return LabelledSamples(ordered, offsets, at_ms[keep] * 1000, found[keep])

    def write(self, samples: LabelledSamples) -> None:
        """By remote write, in any order of time; searchable once they are flushed, which is asked for."""
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        for part in by_size(samples, _REQUEST_SAMPLES):
            self._http.ask("POST", "/api/v1/write", body=write_request(part), headers=headers)
        self._http.ask("GET", "/internal/force_flush")

    def _api(self, endpoint: str, fields: Sequence[tuple[str, str]]) -> Any:
        return json.loads(self._http.ask("GET", f"/api/v1/{endpoint}", query=fields))["data"]


def _window(start_us: int, end_us: int) -> list[tuple[str, str]]:
    # It takes samples two days ahead at most, and finds no series from the time 0 on. Whole
    # milliseconds, the first rounded up: what is between them belongs to the one before.
    start_us, end_us = max(start_us, 1_000_000), min(end_us, time.time_ns() // 1000 + _AHEAD_US)
    return [("start", f"{-(-start_us // 1000) / 1000:.3f}"), ("end", f"{end_us // 1000 / 1000:.3f}")]


def _value(told: Any) -> float:
    if told is None:
        return float(_STALE)
    return _INFINITIES[told] if isinstance(told, str) else float(told)
