"""A mergeable quantile sketch for many rows at once: DDSketch with a relative error of 1 %.

A value x > 0 falls into bin ceil(log_g(x)) with g = (1 + a) / (1 - a); the bin answers with 2 g^k / (g + 1), which is
within the fraction a = `RELATIVE_ERROR` of every value in it. Two sketches merge by adding their bins, so the order
of merges does not matter. Beyond `MAX_BINS` bins the lowest are folded together: high quantiles keep the promise.
Source: Masson, Rim, Lee: DDSketch, PVLDB 12 (2019), https://www.vldb.org/pvldb/vol12/p2195-masson.pdf.

A key is one int16: 0 for zero, k + 16384 for positive values and its negative for negative ones, so that keys sort as
values do. Magnitudes below 1e-140 count as zero, above 1e140 as 1e140.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RELATIVE_ERROR = 0.01
"""Half the width of a bin, relative to its values."""

MAX_BINS = 1024
"""Most bins of one sketch: a factor of 8e8 between the smallest and the largest value that keep the promise."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = np.log(_GAMMA)
_SHIFT = 1 << 14
_TINY, _HUGE = 1e-140, 1e140
_KEY_BITS = 16
_KEY_OFFSET = 1 << 15


@dataclass(frozen=True)
class Sketches:
    """The sketches of n rows. Row i has the bins offsets[i] to offsets[i + 1]: keys int16 ascending, counts uint32."""

    offsets: np.ndarray
    keys: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def rows(self) -> np.ndarray:
        """Which row each bin belongs to: int64, ascending."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, rows: np.ndarray) -> Sketches:
        """The sketches of these rows, in this order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Sketches(offsets, self.keys[places], self.counts[places])


def keys_of(values: np.ndarray) -> np.ndarray:
    """The bin (int16) of each finite value."""
    magnitude = np.abs(values)
    with np.errstate(divide="ignore"):
        index = np.ceil(np.log(np.minimum(magnitude, _HUGE)) / _LOG_GAMMA)
    shifted = np.where(magnitude < _TINY, 0, index + _SHIFT)
    return (np.sign(values) * shifted).astype(np.int16)


def values_of(keys: np.ndarray) -> np.ndarray:
    """The value (float64) that each bin answers with."""
    signed = keys.astype(np.float64)
    magnitude = 2 / (_GAMMA + 1) * np.exp(_LOG_GAMMA * (np.abs(signed) - _SHIFT))
    return np.where(signed == 0, 0.0, np.sign(signed) * magnitude)


def sketch(rows: np.ndarray, values: np.ndarray, number: int) -> Sketches:
    """Sketch the finite `values`, each into the row that `rows` names (0 to number - 1)."""
    code = np.sort((rows.astype(np.int64) << _KEY_BITS) + (keys_of(values).astype(np.int64) + _KEY_OFFSET))
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    counts = np.diff(starts, append=len(code))
    return _pack(code[starts], counts, number)


def merge(rows: np.ndarray, keys: np.ndarray, counts: np.ndarray, number: int) -> Sketches:
    """Add up bins, each into the row that `rows` names (0 to number - 1)."""
    code = (rows.astype(np.int64) << _KEY_BITS) + (keys.astype(np.int64) + _KEY_OFFSET)
    order = np.argsort(code)
    code = code[order]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    summed = np.add.reduceat(counts[order].astype(np.int64), starts) if len(starts) else counts
    return _pack(code[starts], summed, number)


def quantiles(sketches: Sketches, fractions: Sequence[float]) -> np.ndarray:
    """Quantiles of every row: float64[row, fraction], NaN where a row is empty.

    The answer is the bin of the value with rank floor(q (n - 1)), as `numpy.quantile(method="lower")` has it.
    """
    result = np.full((len(sketches), len(fractions)), np.nan)
    filled = np.flatnonzero(np.diff(sketches.offsets))
    if not len(filled):
        return result
    running = np.cumsum(sketches.counts, dtype=np.int64)
    before = np.concatenate(([0], running))[sketches.offsets[filled]]
    total = running[sketches.offsets[filled + 1] - 1] - before
    for column, fraction in enumerate(fractions):
        rank = np.floor(fraction * (total - 1)).astype(np.int64)
        result[filled, column] = values_of(sketches.keys[np.searchsorted(running, before + rank, side="right")])
    return result


def _pack(code: np.ndarray, counts: np.ndarray, number: int) -> Sketches:
    rows = code >> _KEY_BITS
    keys = ((code & ((1 << _KEY_BITS) - 1)) - _KEY_OFFSET).astype(np.int16)
    offsets = np.searchsorted(rows, np.arange(number + 1))
    packed = Sketches(offsets, keys, counts.astype(np.uint32))
    return _collapse(packed) if len(code) and np.diff(offsets).max() > MAX_BINS else packed


def _collapse(wide: Sketches) -> Sketches:
    """Fold the lowest bins of rows with more than MAX_BINS into the lowest that is kept."""
    rows = wide.rows
    floor = np.maximum(wide.offsets[1:] - MAX_BINS, wide.offsets[:-1])[rows]
    return merge(rows, wide.keys[np.maximum(np.arange(len(rows)), floor)], wide.counts, len(wide))
