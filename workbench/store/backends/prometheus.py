"""A Prometheus server, and what speaks its protocol (Mimir, Thanos' receiver): remote write in, remote read out.

Remote read and not PromQL, because the HTTP API leaves staleness markers out, and without them a series that ended
would go on for the look-back.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import StoreError
from workbench.store.backends.http import HttpStore
from workbench.store.backends.protocols import LabelledSamples, LabelMatcher, Labels
from workbench.store.backends.remote_protocol import read_request, read_response, write_request
from workbench.store.backends.samples import by_size, selector

# In milliseconds; those in seconds cut off the rest, and with it the newest samples.
_BOUNDS = re.compile(rb"^prometheus_tsdb_(lowest_timestamp|head_max_time) (\S+)$", re.MULTILINE)
_RETENTION_US = 15 * 86_400_000_000  # Prometheus' default
_REQUEST_SAMPLES = 50_000
_REFUSED = ("out of order", "out of bounds", "too old", "duplicate sample")


class Prometheus:
    """`prometheus+http://[user:password@]host:9090[/path]`. Keeps milliseconds."""

    resolution_us = 1000

    def __init__(self, url: str) -> None:
        self._http = HttpStore(url)
        self.url = self._http.shown

    def span_us(self) -> tuple[int, int]:
        """What the server's own metrics say; where it has none, the default retention until now."""
        try:
            told = {name: float(value) * 1000 for name, value in _BOUNDS.findall(self._http.ask("GET", "/metrics"))}
            first_us, last_us = int(told[b"lowest_timestamp"]), int(told[b"head_max_time"])
        except (StoreError, KeyError, ValueError, OverflowError):
            now_us = time.time_ns() // 1000
            return now_us - _RETENTION_US, now_us
        # An empty server names the ends of an int64.
        return (first_us, last_us) if 0 < first_us <= last_us else (0, 0)

    def series(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> list[Labels]:
        """As `/api/v1/series` answers."""
        window = [("start", _seconds(start_us)), ("end", _seconds(end_us))]
        found = self._api("series", [("match[]", selector(matchers)), *window])
        return sorted(tuple(sorted((name, value) for name, value in labels.items() if value)) for labels in found)

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """As `/api/v1/metadata` answers: what the server learned from its targets."""
        found = self._api("metadata", [])
        return {name: (one[0]["type"], one[0]["unit"], one[0]["help"]) for name, one in found.items() if one}

    def read(self, matchers: Sequence[LabelMatcher], start_us: int, end_us: int) -> LabelledSamples:
        """By remote read, which answers with raw samples."""
        # A reader that names nothing at all is refused by Prometheus; every series has a name or some other label.
        asked = read_request(matchers or [LabelMatcher("__name__", "=~", ".*")], start_us, end_us)
        headers = {**_PROTOBUF, "X-Prometheus-Remote-Read-Version": "0.1.0"}
        return read_response(self._http.ask("POST", "/api/v1/read", body=asked, headers=headers), self.url)

    def write(self, samples: LabelledSamples) -> None:
        """By remote write 1.0. A server takes samples in the order of time unless it has an out-of-order window."""
        for part in by_size(samples, _REQUEST_SAMPLES):
            headers = {**_PROTOBUF, "X-Prometheus-Remote-Write-Version": "0.1.0"}
            try:
                self._http.ask("POST", "/api/v1/write", body=write_request(part), headers=headers)
            except StoreError as error:
                if any(word in error.message for word in _REFUSED):
                    error.hint = (
                        "Old samples need storage.tsdb.out_of_order_time_window in its configuration, "
                        "or `promtool tsdb create-blocks-from openmetrics`."
                    )
                raise

    def _api(self, endpoint: str, fields: Sequence[tuple[str, str]]) -> Any:
        return json.loads(self._http.ask("GET", f"/api/v1/{endpoint}", query=fields))["data"]


_PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def _seconds(time_us: int) -> str:
    return f"{time_us / 1e6:.3f}"
