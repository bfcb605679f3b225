"""Which histograms of a window add up to its increase; what comes after what where floats lie between. Compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.histograms.bounds import CUSTOM
from workbench.schema import GAUGE

MIXED, GAUGE_SEEN, NOT_GAUGE = 1, 2, 4
"""Bits of a window: exponential histograms beside own bounds; one marked as a gauge; first or last not marked so."""


@njit(cache=True, nogil=True)
def increase_items(lo, hi, reset, schemas, hints, counter):  # type: ignore[no-untyped-def]
    """What to `combine` for the increase over windows [lo[j], hi[j]) of at least two histograms.

    The last less the first; of a counter, also what was there before each of its resets. `reset[i]`: between histogram
    i - 1 and i. Returns starts, items, weights, caps of the resolution, and bits for each window.
    """
    q = len(lo)
    starts, caps, bits = np.zeros(q + 1, np.int64), np.full(q, 127, np.int32), np.zeros(q, np.int8)
    room = 0
    for j in range(q):
        room += 2
        if counter:
            for i in range(lo[j] + 2, hi[j]):
                room += reset[i]
    items, weights = np.empty(room, np.int64), np.empty(room)
    n = 0
    for j in range(q):
        first, last = lo[j], hi[j] - 1
        if hints[first] == GAUGE or hints[last] == GAUGE:
            bits[j] |= GAUGE_SEEN
        if hints[first] != GAUGE or hints[last] != GAUGE:
            bits[j] |= NOT_GAUGE
        # What was before the first reset is not looked at: of the first histogram only the layout of the second.
        begun = counter and reset[first + 1]
        base = first + 1 if begun else first
        items[n], weights[n] = last, 1.0
        items[n + 1], weights[n + 1] = base, 0.0 if begun else -1.0
        n += 2
        custom = schemas[base] == CUSTOM
        if (schemas[last] == CUSTOM) != custom:
            bits[j] |= MIXED
        if not custom:
            caps[j] = min(schemas[base], schemas[last])
        if counter:
            for i in range(first + 1, last + 1):
                if i < last:
                    if hints[i] == GAUGE:
                        bits[j] |= GAUGE_SEEN
                    if (schemas[i] == CUSTOM) != custom:
                        bits[j] |= MIXED
                    elif not custom:
                        caps[j] = min(caps[j], schemas[i])
                if reset[i] and i > first + 1:
                    items[n], weights[n] = i - 1, 1.0
                    n += 1
        starts[j + 1] = n
    return starts, items[:n].copy(), weights[:n].copy(), caps, bits


@njit(cache=True, nogil=True)
def alternations(float_times, lo, hi, native_times, native_lo, native_hi):  # type: ignore[no-untyped-def]
    """For windows of a series: how often a float follows a histogram or the other way round."""
    n, k = lo.shape
    out = np.zeros((n, k))
    for s in range(n):
        for t in range(k):
            i, j = lo[s, t], native_lo[s, t]
            before = -1
            while i < hi[s, t] or j < native_hi[s, t]:
                takes_float = j == native_hi[s, t] or (i < hi[s, t] and float_times[i] < native_times[j])
                kind = 0 if takes_float else 1
                out[s, t] += before >= 0 and kind != before
                before = kind
                if takes_float:
                    i += 1
                else:
                    j += 1
    return out


@njit(cache=True, nogil=True)
def pairs_between(marked, float_times, lo, hi, native_times, native_lo, native_hi, native):  # type: ignore[no-untyped-def]
    """How many marked pairs (i - 1, i) of one kind follow on each other in a window, with none of the other between.

    `native`: the pairs are of histograms.
    """
    n, k = lo.shape
    out = np.zeros((n, k))
    for s in range(n):
        for t in range(k):
            if native:
                a, b, c, d = native_lo[s, t], native_hi[s, t], lo[s, t], hi[s, t]
            else:
                a, b, c, d = lo[s, t], hi[s, t], native_lo[s, t], native_hi[s, t]
            mine, others = (native_times, float_times) if native else (float_times, native_times)
            for i in range(a + 1, b):
                if not marked[i]:
                    continue
                while c < d and others[c] <= mine[i - 1]:
                    c += 1
                out[s, t] += c == d or others[c] >= mine[i]
    return out
