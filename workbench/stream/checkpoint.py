"""A kernel's state as bytes: a numpy archive of plain arrays, without code (no pickle).

Names in the archive: `clock` (layout, watermark_us, closed_us), `bounds`, `open/<start>/<column>` for raw panes and
`<level>/<start>/<column>` for closed ones.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile

import numpy as np

from workbench.errors import InputError
from workbench.stream.kernel import Bounds
from workbench.stream.panes import PLAIN, Segment
from workbench.stream.sketch import Sketches
from workbench.stream.sliding import WIDTHS_US, Pane, State

LAYOUT = 1
"""Version of the archive."""

_BINS = ("offsets", "keys", "counts")


def dump(state: State) -> bytes:
    """The state as bytes."""
    arrays: dict[str, np.ndarray] = {
        "clock": np.array([LAYOUT, state.watermark_us, state.closed_us], np.int64),
        "bounds": np.array(dataclasses.astuple(state.bounds), np.int64),
    }
    for start, pane in state.open.items():
        for number, column in enumerate(zip(*pane.chunks, strict=True)):
            arrays[f"open/{start}/{number}"] = np.concatenate(column)
    for level, panes in enumerate(state.levels):
        for start, segment in panes.items():
            arrays.update({f"{level}/{start}/{name}": getattr(segment, name) for name in PLAIN})
            arrays.update({f"{level}/{start}/{name}s": getattr(segment.sketches, name) for name in _BINS})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def load(data: bytes) -> State:
    """The state that `dump` wrote. Raises InputError if the bytes are not such an archive, or of another layout."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        layout, watermark_us, closed_us = arrays.pop("clock").tolist()
        bounds = Bounds(*arrays.pop("bounds").tolist())
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"not a checkpoint of the stream kernel: {error}") from error
    if layout != LAYOUT:
        raise InputError(f"checkpoint of layout {layout}; this version reads {LAYOUT}")
    grouped: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for path, array in arrays.items():
        place, start, name = path.split("/")
        grouped.setdefault((place, int(start)), {})[name] = array
    opened: dict[int, Pane] = {}
    levels: tuple[dict[int, Segment], ...] = tuple({} for _ in WIDTHS_US)
    for (place, start), columns in grouped.items():
        if place == "open":
            opened[start] = Pane(((columns["0"], columns["1"], columns["2"]),), len(columns["0"]))
        else:
            sketches = Sketches(*(columns[f"{name}s"] for name in _BINS))
            levels[int(place)][start] = Segment(**{name: columns[name] for name in PLAIN}, sketches=sketches)
    return State(bounds, watermark_us, closed_us, opened, levels)
