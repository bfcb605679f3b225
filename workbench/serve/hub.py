"""The hub: doors for machines, log, sealing, kernel, rules. One process, the one writer of its home."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from workbench import log
from workbench.alert import AlertManager, Answer, NotificationChannels
from workbench.config import Settings
from workbench.ingest import Receiver, http_app, start_grpc
from workbench.query import instant
from workbench.serve.access.certificate import Certificate, grpc_credentials
from workbench.serve.access.doors import MachineDoors
from workbench.serve.access.reach import is_loopback, server_context
from workbench.serve.process import Child, child_main
from workbench.serve.running.hub_socket import Hub, hub_app
from workbench.serve.running.listen import Listener, listen, stop_on_signals, unix_socket
from workbench.serve.running.own_metrics import OwnMetrics
from workbench.serve.running.rule_samples import rule_samples
from workbench.serve.running.told_metrics import ToldMetrics
from workbench.store import Identity, View, Writer, histogram_values, open_writer, state
from workbench.stream import StreamProcessor

RULES_EVERY_SECONDS = 1.0
OWN_METRICS_EVERY_SECONDS = 10.0
REST = 9.0  # rules that are asked for more often than they can be evaluated may take a tenth of a core

logger = log.get(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    child = child_main("hub")
    asyncio.run(_run(child))


async def _run(child: Child) -> None:
    settings = child.settings
    stop = stop_on_signals(asyncio.get_running_loop())
    writer = open_writer(settings)
    engine = state.engine(settings)
    processor = StreamProcessor(settings, is_counter=counters(writer.view))
    writer.add_listener(processor.consume)
    channels = NotificationChannels(settings, engine)
    alerts = AlertManager(
        evaluator(writer.view, settings),
        engine,
        settings,
        recorder(writer),
        write=rule_samples(writer),
        queued=channels.wake,
    )
    receiver = Receiver(writer, settings, tell=ToldMetrics(engine).tell)
    hub = Hub(writer, processor, alerts, receiver)
    doors = MachineDoors(settings, engine)
    tls = server_context(settings) if settings.front.tls_cert else None
    near, far = grpc_addresses(child)
    grpc_server = await start_grpc(
        receiver,
        doors.authorize,
        near,
        secured=far,
        credentials=grpc_credentials(settings) if tls else None,
    )
    watching = asyncio.create_task(Certificate(settings, tls).watch()) if tls else None
    rules = Ticker(lambda: alerts.tick(time.time_ns() // 1000), RULES_EVERY_SECONDS, "rules")
    own = Ticker(OwnMetrics(writer).record, OWN_METRICS_EVERY_SECONDS, "own-metrics")
    writer.add_listener(lambda appended: rules.poke() if "samples" in appended.batches else None)
    processor.start()
    own.start()
    channels.start()
    rules.start()
    logger.info("hub is up", ports=dict(child.ports))
    try:
        door = http_app(receiver, doors.authorize)
        await listen(
            [
                # Senders on this machine need no certificate; an unconfigured SDK knows none.
                Listener(door, ingest_sockets(child, near=True), doors),
                Listener(door, ingest_sockets(child, near=False), doors, tls=tls),
                Listener(hub_app(hub), [unix_socket(settings.hub_socket)]),
            ],
            stop,
        )
    finally:
        if watching:
            watching.cancel()
        await grpc_server.stop(grace_seconds=0.5)
        rules.stop()
        channels.stop()
        own.stop()
        processor.stop()
        receiver.close()
        writer.close()
        engine.dispose()


def ingest_sockets(child: Child, *, near: bool) -> list[socket.socket]:
    """The listening sockets on this machine's loopback, or all others."""
    return [one for one in child.sockets.get("ingest", []) if is_loopback(one.getsockname()[0]) == near]


def grpc_addresses(child: Child) -> tuple[list[str], list[str]]:
    """Where gRPC listens: the same addresses as the HTTP door, those on loopback and all others."""
    port = child.ports["grpc"]
    hosts = sorted({listening.getsockname()[0] for listening in child.sockets.get("ingest", [])} or {"127.0.0.1"})
    written = {host: f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts}
    near = [text for host, text in written.items() if is_loopback(host)]
    return near, [text for text in written.values() if text not in near]


def evaluator(view: View, settings: Settings) -> Callable[[Any, int], list[Answer]]:
    """What rules ask: an instant query, text or parsed, that gives labels and value of every element."""

    def evaluate(expr: Any, time_us: int) -> list[Answer]:
        result = instant(view, expr, time_us, limits=settings.query)
        answers: list[Answer] = [
            (labels, float(result.values[row, 0])) for row, labels in enumerate(result.labels) if result.present[row, 0]
        ]
        if result.native is not None:
            rows = np.flatnonzero(result.native.present[:, 0])
            held = result.native.held.take(result.native.which[rows, 0])
            answers += zip([result.labels[row] for row in rows.tolist()], histogram_values(held), strict=True)
        return answers

    return evaluate


def recorder(writer: Writer) -> Callable[[pa.RecordBatch], None]:
    """What keeps every change of an alert in the lake."""

    def record(batch: pa.RecordBatch) -> None:
        writer.append({"alerts": batch}).result(timeout=30)

    return record


def counters(view: View) -> Callable[[np.ndarray], np.ndarray]:
    """What the kernel asks: which of some series ids (int64[n]) are counters (bool[n])."""

    def is_counter(ids: np.ndarray) -> np.ndarray:
        distinct, places = np.unique(ids, return_inverse=True)
        return np.array([_counts(view.registry.get(int(one)).identity) for one in distinct], bool)[places]

    return is_counter


def _counts(identity: Identity) -> bool:
    # Prometheus' remote write does not say what a series is; by its naming rules the suffix does.
    if identity.convention == "prometheus":
        return identity.name.endswith(("_total", "_count", "_bucket", "_sum"))
    return identity.type == "counter" or identity.part in ("bucket", "count", "sum")


class Ticker:
    """Calls a function every so many seconds in a thread of its own, and sooner when poked; what it raises is logged.

    Between two calls lie at least `rest_seconds`, and REST times the processor time of the last one.
    """

    def __init__(self, call: Callable[[], Any], every_seconds: float, name: str, *, rest_seconds: float = 0.1) -> None:
        self._call = call
        self._every_seconds = every_seconds
        self._rest_seconds = rest_seconds
        self._stop = threading.Event()
        self._poked = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def poke(self) -> None:
        """Call soon; returns at once."""
        self._poked.set()

    def stop(self) -> None:
        """End after the call under way."""
        self._stop.set()
        self._poked.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            begun, busy = time.monotonic(), time.thread_time()
            self._poked.clear()
            try:
                self._call()
            except Exception as error:  # a thread that ends in silence would be worse than any of them
                logger.error("tick failed", name=self._thread.name, error=repr(error))
            # Of processor time, not of waiting for a disk: a rest is there to leave the cores to others.
            self._stop.wait(min(self._every_seconds, max(self._rest_seconds, REST * (time.thread_time() - busy))))
            self._poked.wait(max(0.0, self._every_seconds - (time.monotonic() - begun)))


if __name__ == "__main__":
    main()
