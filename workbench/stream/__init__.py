"""Stream: the pure kernel of sliding windows per series, and the engine that runs it inside the hub."""

from __future__ import annotations

from workbench.stream.kernel import Batch, Bounds, Counts
from workbench.stream.processor import StreamProcessor
from workbench.stream.sliding import initial, step, windows

__all__ = ["Batch", "Bounds", "Counts", "StreamProcessor", "initial", "step", "windows"]
