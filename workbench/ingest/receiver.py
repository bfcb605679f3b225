"""The one place where bodies become rows of the log, whatever protocol brought them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from workbench.config import Settings
from workbench.errors import Busy, InputError, UnsupportedMedia, WorkbenchError
from workbench.ingest.admission import admit
from workbench.ingest.bodies import expand, media_type
from workbench.ingest.callers import Caller
from workbench.ingest.events import EventFault, decode_events, events_batch
from workbench.ingest.otlp.decode import OtlpDecoder
from workbench.ingest.otlp.json import otlp_json_to_protobuf
from workbench.ingest.points import Decoded, Member, Told
from workbench.ingest.prometheus.second import as_first
from workbench.ingest.prometheus.write import decode_write, unsnap
from workbench.ingest.refusals import Refusal, Refusals
from workbench.ingest.series_book import SeriesBook
from workbench.ingest.warm_up import warm_up
from workbench.log import get

if TYPE_CHECKING:
    from workbench.store import Writer


PROTOBUF, JSON = "application/x-protobuf", "application/json"
_FIRST, _SECOND = "prometheus.writerequest", "io.prometheus.write.v2.request"
DECODERS = 2
"""Threads that decode. The kernels release the GIL, so two keep two cores busy."""

MAX_MALFORMED_PER_SECOND = 20
"""Dead-letter rows written for bodies that are not readable at all; more are only counted."""

log = get(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a request. `future` resolves once all of it is durable (None: there was nothing to write)."""

    accepted: int
    rejected: int
    message: str
    future: Future[Any] | None
    faults: tuple[EventFault, ...] = field(default=())
    written: tuple[int, ...] = (0, 0, 0)
    """Rows of samples by their type: floats, native histograms, exemplars alone."""


def _forget(_: Sequence[Told]) -> None:
    """Nobody asks for it here."""


class Receiver:
    """Decodes, checks and appends; shared by the HTTP and the gRPC door. Thread-safe; run its methods in `pool`.

    Every method raises InputError (TooLarge, UnsupportedMedia) for a body that cannot be read, and Busy or StoreError
    from the writer; what can be read in part is accepted in part. The sender may be told of success only after
    `Outcome.future` resolved.
    """

    def __init__(
        self,
        writer: Writer,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        *,
        tell: Callable[[Sequence[Told]], None] = _forget,
    ) -> None:
        self.limits = settings.ingest
        self.pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._writer = writer
        self._clock = clock
        self._tell = tell
        self._book = SeriesBook(writer, settings.ingest)
        self._otlp = OtlpDecoder()
        self._lock = threading.Lock()
        self._in_flight_bytes = 0
        self._malformed: tuple[int, int] = (0, 0)
        self.pool.submit(warm_up)

    def close(self) -> None:
        """End the decoding threads after what they have begun."""
        self.pool.shutdown()

    @contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """Room in memory for one body: tell the yielded function of every byte; it raises Busy past the bound."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            with self._lock:
                if self._in_flight_bytes + size > self.limits.queue_bytes:
                    raise Busy("too many bytes are being decoded already")
                self._in_flight_bytes += size
            taken += size

        try:
            yield take
        finally:
            with self._lock:
                self._in_flight_bytes -= taken

    def otlp_metrics(self, body: bytes, media: str, encoding: str, caller: Caller) -> Outcome:
        """ExportMetricsServiceRequest as protobuf or JSON, plain or gzip."""
        with self._refusing_whole("otlp", body, caller):
            kind = media_type(media)
            if kind not in (PROTOBUF, JSON):
                raise _other_media(f"OTLP does not come as {kind[:80]!r}", f"Use {PROTOBUF} or {JSON}.")
            message = expand(body, encoding, self._bound(kind))
            decoded = self._otlp.decode(otlp_json_to_protobuf(message) if kind == JSON else message)
        return self._take("otlp", decoded, caller)

    def remote_write(self, body: bytes, media: str, encoding: str, caller: Caller) -> Outcome:
        """Prometheus remote write, the WriteRequest of 1.0 or the Request of 2.0, as a snappy block."""
        with self._refusing_whole("remote_write", body, caller):
            second = _is_second(media, encoding)
            message = unsnap(body, self.limits.max_expanded_bytes)
            decoded = decode_write(as_first(message, self.limits.max_expanded_bytes) if second else message)
        return self._take("remote_write", decoded, caller)

    def events(self, body: bytes, media: str, encoding: str, caller: Caller) -> Outcome:
        """CloudEvents 1.0 in JSON: one, a batch, or a plain list."""
        now_us = self._now_us()
        refusals = Refusals("events", caller.source)
        with self._refusing_whole("events", body, caller):
            message = expand(body, encoding, self._bound(JSON))
            found = decode_events(message, media_type(media), now_us, self.limits)
        for fault in found.faults:
            where = f"event {fault.index}: {fault.field} {fault.message}"
            refusals.add(Refusal(fault.reason, where, found.payloads[fault.index]))
            if refusals.room(fault.reason):
                refusals.keep(fault.reason, [found.payloads[fault.index]])
        batches = {"events": events_batch(found.rows)} if found.rows else {}
        return self._append(batches, len(found.rows), refusals, tuple(found.faults))

    @property
    def refused_series(self) -> list[dict[str, Any]]:
        """What limits on series refused since the start; see `RefusedSeries.rows`."""
        return self._book.refused.rows()

    def enter_scraped(self, members: Sequence[Member], source: str) -> list[int | None]:
        """Ids of series that a scrape saw for the first time, durable on return; None for one that is refused."""
        refusals = Refusals("scrape", source)
        ids: list[int | None] = []
        for answer in self._book.enter([[member] for member in members], Caller(source, anonymous=False)):
            if isinstance(answer, Refusal):
                refusals.add(answer)
                ids.append(None)
            else:
                ids.append(answer[0])
        outcome = self._append({}, 0, refusals)
        if outcome.future is not None:
            outcome.future.result()
        # The scraper keeps the ids; were they lost in a crash, somebody else would get them.
        self._writer.flush()
        return ids

    def _take(self, door: str, decoded: Decoded, caller: Caller) -> Outcome:
        refusals = Refusals(door, caller.source)
        if decoded.told and not caller.anonymous:
            self._tell(decoded.told)
        rows, accepted = admit(decoded, self._book, caller, refusals, self._now_us(), self.limits)
        if rows is None:
            return self._append({}, accepted, refusals)
        batch = rows.batch()
        written = np.bincount(batch.column("type").to_numpy(), minlength=3)
        return replace(self._append({"samples": batch}, accepted, refusals), written=tuple(written.tolist()))

    def _append(
        self,
        batches: Mapping[str, pa.RecordBatch],
        accepted: int,
        refusals: Refusals,
        faults: tuple[EventFault, ...] = (),
    ) -> Outcome:
        dead = refusals.batch(self._now_us())
        everything = {**batches, **({"dead_letter": dead} if dead is not None else {})}
        future = self._writer.append(everything) if everything else None
        if future is None:
            refusals.count_outcome(0)
        else:
            future.add_done_callback(lambda done: None if done.exception() else refusals.count_outcome(accepted))
        return Outcome(accepted, refusals.count, refusals.message, future, faults)

    def _bound(self, media: str) -> int:
        """Bytes that a body may expand to; JSON becomes objects of many times its size, so it may only be a body's."""
        return self.limits.max_expanded_bytes if media == PROTOBUF else self.limits.max_body_bytes

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)

    @contextmanager
    def _refusing_whole(self, door: str, body: bytes, caller: Caller) -> Iterator[None]:
        """Count a body that is not readable at all and keep its beginning as a dead letter, then raise on."""
        try:
            yield
        except InputError as error:
            refusals = Refusals(door, caller.source)
            refusals.add(Refusal("malformed", f"{error.where}: {error.message}", body[:512].hex()))
            refusals.count_outcome(0)
            second = int(self._clock())
            with self._lock:
                self._malformed = (second, self._malformed[1] + 1 if self._malformed[0] == second else 1)
                write = self._malformed[1] <= MAX_MALFORMED_PER_SECOND
            dead = refusals.batch(self._now_us())
            if write and dead is not None:
                try:
                    self._writer.append({"dead_letter": dead})
                except WorkbenchError as failure:  # the sender hears of its own fault first
                    log.warning("dead letter not written", error=str(failure))
            raise


def _is_second(media: str, encoding: str) -> bool:
    """Whether a body says that it is of remote write 2.0. Raises UnsupportedMedia for what is neither that nor 1.0."""
    parameters = [part.strip().replace('"', "") for part in media.lower().split(";")]
    if parameters[0] != PROTOBUF:
        raise _other_media(f"remote write does not come as {parameters[0][:80]!r}", f"Use {PROTOBUF}.")
    named = [part.removeprefix("proto=") for part in parameters[1:] if part.startswith("proto=")]
    if set(named) - {_FIRST, _SECOND}:
        raise _other_media(
            "this door speaks remote write 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2.Request)",
            "Give one of them as protobuf_message of the remote_write section.",
        )
    if encoding.strip().lower() not in ("", "snappy"):
        message = f"unknown content encoding {encoding[:40]!r}"
        raise UnsupportedMedia(message, where="Content-Encoding", hint="Remote write uses snappy.")
    return _SECOND in named


def _other_media(message: str, hint: str) -> UnsupportedMedia:
    return UnsupportedMedia(message, where="Content-Type", hint=hint)
