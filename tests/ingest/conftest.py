"""A writer in memory, and a receiver in front of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from workbench.config import Settings
from workbench.ingest import ANONYMOUS, Caller, Receiver
from workbench.schema import KINDS
from workbench.store.registry import Identity, SeriesRegistry, plan_registration

TOKEN = Caller("token:1", False)
NOBODY = Caller(ANONYMOUS, True)


class MemoryWriter:
    """Writer's methods over lists; `fault` is raised by the next append, `hold` leaves its future open."""

    def __init__(self) -> None:
        self.view = SimpleNamespace(registry=SeriesRegistry())
        self.batches: list[Mapping[str, pa.RecordBatch]] = []
        self.fault: Exception | None = None
        self.late_fault: Exception | None = None
        self.hold: Future[Any] | None = None

    def register(self, new: Sequence[tuple[Identity, str, str]], source: str) -> list[int]:
        ids, fresh = plan_registration(self.view.registry, new, source, time.time_ns() // 1000)
        self.view.registry.add(fresh)
        return ids

    def append(self, batches: Mapping[str, pa.RecordBatch]) -> Future[Any]:
        if self.fault is not None:
            raise self.fault
        for kind, batch in batches.items():
            assert batch.schema.equals(KINDS[kind].schema)
            batch.validate(full=True)
        future: Future[Any] = self.hold or Future()
        if self.late_fault is not None:
            future.set_exception(self.late_fault)
            return future
        self.batches.append(batches)
        if self.hold is None:
            future.set_result(None)
        return future

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """All rows of a kind that were appended."""
        return [row for batches in self.batches if kind in batches for row in batches[kind].to_pylist()]

    def found(self) -> dict[str, list[tuple[int, float | None]]]:
        """`name{attributes}[part bound]` -> (time in µs, value), in the order of arrival."""
        found: dict[str, list[tuple[int, float | None]]] = {}
        for batches in self.batches:
            if "samples" not in batches:
                continue
            batch = batches["samples"]
            times = batch["time"].view(pa.int64()).to_pylist()
            values = batch["value"].to_pylist()
            for series, time_us, value in zip(batch["series"].to_pylist(), times, values, strict=True):
                found.setdefault(self.text(series), []).append((time_us, value))
        return found

    def text(self, series: int) -> str:
        """A series for comparison."""
        i = self.view.registry.get(series).identity
        inner = ",".join(f"{key}={value}" for key, value in i.attributes)
        part = f"[{i.part}{'' if i.bound is None else f' {i.bound:g}'}]" if i.part else ""
        return f"{i.name}{{{inner}}}{part}"


@pytest.fixture
def writer() -> MemoryWriter:
    return MemoryWriter()


@pytest.fixture
def receiver(writer: MemoryWriter, settings: Settings) -> Iterator[Receiver]:
    made = Receiver(writer, settings)  # type: ignore[arg-type]
    yield made
    made.close()
