"""Native histograms in extended range selectors: what `evaluate.extended` does with floats.

Every result is a weighted sum of samples: the histogram at the right edge less that at the left one, plus those before
a counter was reset. An interpolated edge is made of two samples.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.evaluate.context import Context
from workbench.query.evaluate.extended import edges
from workbench.query.evaluate.native import ranges
from workbench.query.histograms import combine, spans
from workbench.query.histograms.grid import Grid, divided, no_grid, scattered
from workbench.query.promql.nodes import Node
from workbench.schema import CUSTOM_SCHEMA, GAUGE, RESET_UNKNOWN


def increase(
    context: Context, name: str, of: ranges.NativeWindows, mask: np.ndarray, smoothed: bool, node: Node
) -> Grid:
    """`rate`, `increase` and `delta` between the edges of every window in the mask; nothing is extrapolated."""
    counter = name != "delta"
    held, times = of.samples.histograms, of.samples.times_us
    if not mask.any():
        return no_grid(mask.shape)
    ends = np.broadcast_to(of.ends_us, mask.shape)[mask]
    reset = of.pairs(True, by_starts=False) if counter else np.zeros(held.size + 1, bool)
    starts, items, weights, kinds = _items(
        times, of.native_lo[mask], of.native_hi[mask], ends, of.width_us, reset, held.schemas == CUSTOM_SCHEMA,
        held.hints == GAUGE, smoothed, counter,
    )  # fmt: skip
    context.count(len(items))
    found = mask.copy()
    found[mask] = np.diff(starts) > 0
    there = np.diff(starts) > 0
    starts = np.concatenate(([0], starts[1:][there]))
    out, bits = combine.combine(held, starts, items, weights)
    bits[(kinds[there] & spans.MIXED) != 0] |= combine.INCOMPATIBLE
    if name == "rate":
        out = divided(out, np.full(out.size, of.width_us / 1e6))
    out = out._replace(hints=np.full(out.size, GAUGE, np.int8))
    gauge, no_gauge = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    gauge[found] = (kinds[there] & spans.GAUGE_SEEN) != 0
    no_gauge[found] = (kinds[there] & spans.NOT_GAUGE) != 0
    ranges.say_wrong_kind(context, of, found, gauge, no_gauge, counter, node)
    return ranges.without_incompatible(context, of, scattered(out, found), bits, "subtraction", node)


def smoothed(context: Context, of: ranges.NativeWindows, mask: np.ndarray, node: Node) -> Grid:
    """The histogram at the end of every window in the mask (which reaches beyond it): a sample's own, one between two
    samples, or the last before it where none follows."""
    held = of.samples.histograms
    if not mask.any():
        return no_grid(mask.shape)
    ends = np.broadcast_to(of.ends_us, mask.shape)[mask]
    reset = of.pairs(True, by_starts=False)
    starts, items, weights, carried, mixed = _between(
        of.samples.times_us, of.native_lo[mask], of.native_hi[mask], ends, reset, held.hints == GAUGE,
        held.schemas == CUSTOM_SCHEMA,
    )  # fmt: skip
    there = np.diff(starts) > 0
    found = mask.copy()
    found[mask] = there
    out, bits = combine.combine(held, np.concatenate(([0], starts[1:][there])), items, weights)
    bits[mixed[there]] |= combine.INCOMPATIBLE
    # A hint tells how a histogram follows the one before; of one carried on that is not known.
    out = out._replace(hints=np.where(carried[there], RESET_UNKNOWN, out.hints).astype(np.int8))
    return ranges.without_incompatible(context, of, scattered(out, found), bits, "subtraction", node)


@njit(cache=True, nogil=True)
def _between(times, lo, hi, ends, reset, gauge, custom):  # type: ignore[no-untyped-def]
    """For each of q windows the samples (items) around its end and their weights; whether one is carried on, whether
    two do not add up."""
    q = len(lo)
    starts = np.zeros(q + 1, np.int64)
    items, weights = np.empty(2 * q, np.int64), np.empty(2 * q)
    carried, mixed = np.zeros(q, np.bool_), np.zeros(q, np.bool_)
    used = 0
    for j in range(q):
        at = lo[j]
        while at < hi[j] and times[at] < ends[j]:
            at += 1
        if at < hi[j] and times[at] == ends[j]:
            items[used], weights[used] = at, 1.0
            used += 1
        elif at > lo[j] and at == hi[j]:
            items[used], weights[used] = at - 1, 1.0
            carried[j] = True
            used += 1
        elif at > lo[j]:
            part = (ends[j] - times[at - 1]) / (times[at] - times[at - 1])
            mixed[j] = custom[at] != custom[at - 1]
            items[used], weights[used] = at, part
            used += 1
            if not reset[at] or (gauge[at] and gauge[at - 1]):
                items[used], weights[used] = at - 1, 1 - part
                used += 1
        starts[j + 1] = used
    return starts, items[:used], weights[:used], carried, mixed


def anchored(of: ranges.NativeWindows) -> tuple[np.ndarray, np.ndarray]:
    """Where windows begin, floats and histograms, if the last sample of either kind at or before their start belongs
    to them: (lo, native_lo). A window without a sample after its start is empty."""
    start = of.ends_us - of.width_us
    lo = _first_after(of.loaded.times_us, of.lo, of.hi, start)
    native_lo = _first_after(of.samples.times_us, of.native_lo, of.native_hi, start)
    none = np.iinfo(np.int64).min
    before = _time_before(of.loaded.times_us, of.lo, lo, none)
    native_before = _time_before(of.samples.times_us, of.native_lo, native_lo, none)
    inside = (lo < of.hi) | (native_lo < of.native_hi)
    is_float = inside & (before > none) & (before >= native_before)
    is_native = inside & (native_before > none) & ~is_float
    return lo - is_float, native_lo - is_native


@njit(cache=True, nogil=True)
def _first_after(times, lo, hi, starts):  # type: ignore[no-untyped-def]
    out = lo.copy()
    n, k = lo.shape
    for s in range(n):
        for t in range(k):
            while out[s, t] < hi[s, t] and times[out[s, t]] <= starts[t]:
                out[s, t] += 1
    return out


def _time_before(times: np.ndarray, lo: np.ndarray, place: np.ndarray, none: int) -> np.ndarray:
    if not len(times):
        return np.full(lo.shape, none)
    return np.where(place > lo, times[np.maximum(place - 1, 0)], none)


@njit(cache=True, nogil=True)
def _items(times, lo, hi, ends, window, reset, custom, gauge, smooth, counter):  # type: ignore[no-untyped-def]
    """For each of q windows the samples (items) of its result and their weights, none where it has no result."""
    q = len(lo)
    starts = np.zeros(q + 1, np.int64)
    room = 4 * q
    if counter:
        room += (hi - lo).sum()
    items, weights = np.empty(room, np.int64), np.empty(room)
    kinds = np.zeros(q, np.int64)
    used = 0
    for j in range(q):
        a, b, start, end = lo[j], hi[j], ends[j] - window, ends[j]
        first, last = edges(times, a, b, start, end, smooth)
        if times[last] > start and not (smooth and times[first] > end):
            for i in range(first, last + 1):
                if custom[i] != custom[first]:
                    kinds[j] |= spans.MIXED
                if gauge[i]:
                    kinds[j] |= spans.GAUGE_SEEN
            if not gauge[first] or not gauge[last]:
                kinds[j] |= spans.NOT_GAUGE
            if smooth and times[last] > end and last > a:
                part = (end - times[last - 1]) / (times[last] - times[last - 1])
                items[used], weights[used] = last, part
                used += 1
                if not reset[last]:
                    items[used], weights[used] = last - 1, 1 - part
                    used += 1
            else:
                items[used], weights[used] = last, 1.0
                used += 1
            after = first + 1
            if smooth and times[first] < start:
                part = (start - times[first]) / (times[first + 1] - times[first])
                items[used], weights[used] = first + 1, -part
                used += 1
                if reset[first + 1]:
                    after += 1  # the left edge has seen this reset already
                else:
                    items[used], weights[used] = first, part - 1
                    used += 1
            else:
                items[used], weights[used] = first, -1.0
                used += 1
            for i in range(after, last + 1):
                if reset[i]:
                    items[used], weights[used] = i - 1, 1.0
                    used += 1
        starts[j + 1] = used
    return starts, items[:used], weights[:used], kinds
