"""Prometheus remote write 1.0: snappy block, WriteRequest, labels as the series' identity.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/. Series keep their Prometheus names (convention
`prometheus`, type unknown: the protocol does not say it beside the sample). What is told
of metrics apart from the samples is handed on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from workbench.errors import InputError, TooLarge
from workbench.ingest.points import MAX_KEY_BYTES, Decoded, Member, OddPoint, Rows
from workbench.ingest.prometheus.exemplars import exemplar_point
from workbench.ingest.prometheus.histogram import native_histogram
from workbench.ingest.prometheus.metadata import metadata_of
from workbench.ingest.prometheus.prompb import TimeSeries, WriteRequest
from workbench.ingest.prometheus.scan import WriteColumns, scan_write
from workbench.ingest.refusals import Refusal
from workbench.ingest.wire import MAX_PARSED_BYTES
from workbench.schema import STALE_NAN_BITS
from workbench.store import Identity

NATIVE = "native_histogram"
"""Type of the series that holds a label set's native histograms; its floats, if there are any, are a series beside."""

MAX_TIME_MS = 2**53
"""Time stamps beyond are nonsense and would overflow as microseconds; cut to this, they are refused by the window."""


def unsnap(body: bytes, max_bytes: int) -> bytes:
    """Expand a snappy block. Raises TooLarge where it declares more than `max_bytes`, InputError where it is broken."""
    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise InputError("not a snappy block: its length is cut off", where=f"byte {len(body[:5])}")
    if size > max_bytes:
        raise TooLarge(f"the block expands to {size} bytes, over {max_bytes}", hint="Send fewer samples per request.")
    if size == 0 and len(body) == 1:
        return b""
    try:
        return pa.decompress(body, decompressed_size=size, codec="snappy", asbytes=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("not a snappy block", where="body", hint="Remote write 1.0 uses the block format.") from error


def decode_write(message: bytes) -> Decoded:
    """The points of a WriteRequest; raises InputError that names the byte where it breaks."""
    columns = scan_write(message)
    if columns is None:
        message = _canonical(message)
        columns = scan_write(message)
        if columns is None:
            raise InputError("the remote-write message has a form that is not readable")
    told = metadata_of(message) if columns.tells else []
    times_us = np.clip(columns.times_ms, -MAX_TIME_MS, MAX_TIME_MS) * 1000
    odd, odd_times = _odd_points(message, columns.odd)
    for position, point in enumerate(odd):
        point.group = len(times_us) + position
    labels = _Labels(columns)

    def rows(points: np.ndarray, first: np.ndarray, members: np.ndarray) -> Rows:
        bits = columns.bits[points]
        return Rows(
            members[first], times_us[points], bits, np.zeros(len(points), np.int64), bits == np.uint64(STALE_NAN_BITS)
        )

    def describe(point: int) -> str:
        return labels.text(int(columns.series[point])) if point < len(columns.series) else "native histogram"

    return Decoded(
        words=columns.words,
        starts=columns.key_starts,
        groups=np.concatenate([columns.series, np.full(len(odd), -1, np.int64)]),
        times_us=np.concatenate([times_us, np.array(odd_times, np.int64)]),
        refused={},
        members=labels.members,
        rows=rows,
        describe=describe,
        odd=odd,
        told=told,
    )


def _canonical(message: bytes) -> bytes:
    if len(message) > MAX_PARSED_BYTES:
        raise TooLarge(f"over {MAX_PARSED_BYTES} bytes in an unusual form of protobuf", hint="Send less per request.")
    try:
        request = WriteRequest.FromString(message)
    except DecodeError as error:
        raise InputError("the remote-write message is malformed") from error
    request.DiscardUnknownFields()
    return request.SerializeToString()


class _Labels:
    """Who the series of a request are, read from their keys when somebody asks."""

    def __init__(self, columns: WriteColumns) -> None:
        self._columns = columns

    def _read(self, series: int) -> Any:
        """The labels; None where they are too many bytes, or not UTF-8."""
        start, end = self._columns.key_starts[series : series + 2]
        size = int(self._columns.words[start])
        if size > MAX_KEY_BYTES:
            return None
        try:
            return TimeSeries.FromString(self._columns.words[start + 1 : end].tobytes()[:size]).labels
        except DecodeError:
            return None

    def members(self, series: int) -> list[Member] | Refusal:
        """The one series of a group."""
        labels = self._read(series)
        return Refusal("bad_label", where=self.text(series)) if labels is None else members_of(labels)

    def text(self, series: int) -> str:
        """Labels as Prometheus writes them."""
        labels = self._read(series)
        if labels is None:
            return f"series {series + 1} of the request"
        return label_text({label.name: label.value for label in labels})


def label_text(labels: dict[str, str]) -> str:
    """`name{label="value",…}`, for people."""
    inner = ",".join(f'{name}="{value[:256]}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels.get('__name__', '')}{{{inner}}}"


def members_of(labels: Any, type_: str = "unknown") -> list[Member] | Refusal:
    """Identity of a Prometheus label set (objects with `name` and `value`); an empty value is no label."""
    pairs = {label.name: label.value for label in labels}
    if len(pairs) != len(labels) or "" in pairs:
        return Refusal("bad_label", where=label_text(pairs))
    name = pairs.pop("__name__", "")
    if not name:
        return Refusal("no_name", where=label_text(pairs))
    attributes = tuple(sorted((key, value) for key, value in pairs.items() if value))
    return [Member(Identity("prometheus", name, type_, "", "", (), attributes), "", "")]


def _microseconds(time_ms: int) -> int:
    return max(-MAX_TIME_MS, min(MAX_TIME_MS, time_ms)) * 1000


def _odd_points(message: bytes, spans: np.ndarray) -> tuple[list[OddPoint], list[int]]:
    """Native histograms and exemplars of the series in those spans, and their times."""
    found: list[OddPoint] = []
    times_us: list[int] = []
    if int((spans[:, 1] - spans[:, 0]).sum()) > MAX_PARSED_BYTES:
        raise TooLarge(
            f"over {MAX_PARSED_BYTES} bytes of native histograms and exemplars", hint="Send fewer per request."
        )
    for start, end in spans.tolist():
        try:
            series = TimeSeries.FromString(message[start:end])
        except DecodeError as error:
            raise InputError(
                "a series with native histograms or exemplars is malformed", where=f"byte {start}"
            ) from error
        members = members_of(series.labels, NATIVE)
        for histogram in series.histograms:
            stale = np.float64(histogram.sum).view(np.uint64) == STALE_NAN_BITS
            value = None if stale else native_histogram(histogram)
            if isinstance(value, Refusal):
                found.append(OddPoint(0, value, []))
            else:
                found.append(OddPoint(0, members, [value], stale=bool(stale)))
            times_us.append(_microseconds(histogram.timestamp))
        bearer = members if series.histograms else members_of(series.labels)
        for exemplar in series.exemplars:
            found.append(exemplar_point(exemplar, bearer))
            times_us.append(_microseconds(exemplar.timestamp))
    return found, times_us
