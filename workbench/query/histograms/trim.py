"""Native histograms without what lies above (`</`) or below (`>/`) a value. Compiled.

A bucket that the value falls into is cut by interpolation, as a quantile would; an endless one is kept or dropped as a
whole. Count and sum are estimated anew from what is left. Source: Prometheus documentation, "Trim operators".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.histograms.bounds import CUSTOM, edges, first_positive
from workbench.query.histograms.measure import part_below
from workbench.store import Histograms


def trimmed(held: Histograms, values: np.ndarray, *, above: bool) -> Histograms:
    """Histogram i without what lies above (or below) values[i]."""
    counts, sums, zeros, buckets = _trimmed(held, values, above)
    kept = buckets != 0
    ends = np.concatenate(([0], np.cumsum(kept)))[held.bucket_offsets]
    return held._replace(
        counts=counts, sums=sums, zero_counts=zeros, buckets=buckets[kept], keys=held.keys[kept], bucket_offsets=ends
    )


@njit(cache=True, nogil=True)
def _middle(low, high, positive, linear):  # type: ignore[no-untyped-def]
    if np.isinf(low):
        if np.isinf(high):
            return 0.0
        return high / 2 if high > 0 else high
    if np.isinf(high):
        return low
    if linear:
        return (low + high) / 2
    between = np.sqrt(abs(low * high))
    return between if positive else -between


@njit(cache=True, nogil=True)
def _finite(value):  # type: ignore[no-untyped-def]
    return 0.0 if np.isinf(value) else value


@njit(cache=True, nogil=True)
def _endless(low, high, count, value, above):  # type: ignore[no-untyped-def]
    """(what is kept of a bucket without an end on one side, its middle)."""
    if np.isneginf(low):
        if above:
            if value >= high:
                return count, 0.0
            if value > 0 and high > 0 and not np.isinf(high):
                return count * value / high, value / 2
            return (count, value) if high <= 0 else (0.0, _finite(high))
        if value <= low:
            return count, 0.0
        if value >= 0 and high > value and not np.isinf(high):
            return count * (1 - value / high), (value + high) / 2
        return 0.0, _finite(high)
    if not above and value >= low:
        return count, value
    return 0.0, _finite(low)


@njit(cache=True, nogil=True)
def _bucket(low, high, count, value, above, positive, custom):  # type: ignore[no-untyped-def]
    """(what is kept of a bucket, its middle)."""
    if (high <= value) if above else (low >= value):
        return count, _middle(low, high, positive, custom)
    if not ((low < value) if above else (high > value)):
        return 0.0, 0.0
    if np.isneginf(low) or np.isposinf(high):
        return _endless(low, high, count, value, above)
    if value <= low:
        below = 0.0
    elif value >= high:
        below = count
    else:
        below = count * part_below(value, low, high, custom)
    if above:
        return below, _middle(low, value, positive, custom)
    return count - below, _middle(value, high, positive, custom)


@njit(cache=True, nogil=True)
def _zero_bucket(low, high, count, value, above):  # type: ignore[no-untyped-def]
    if (value >= high) if above else (value <= low):
        return count, (low + high) / 2
    if (value <= low) if above else (value >= high):
        return 0.0, 0.0
    if above:
        return count * ((value - low) / (high - low)), (low + value) / 2
    return count * ((high - value) / (high - low)), (value + high) / 2


@njit(cache=True, nogil=True)
def _trimmed(held, values, above):  # type: ignore[no-untyped-def]
    counts, sums, zeros = held.counts.copy(), held.sums.copy(), held.zero_counts.copy()
    buckets = held.buckets.copy()
    for i in range(len(values)):
        a, b = held.bucket_offsets[i], held.bucket_offsets[i + 1]
        bounds = held.bounds[held.bound_offsets[i] : held.bound_offsets[i + 1]]
        schema = held.schemas[i]
        count = total = 0.0
        changed = False
        for at in range(a, b):
            low, high = edges(held.keys[at], schema, bounds)
            kept, middle = _bucket(low, high, held.buckets[at], values[i], above, held.keys[at] > 0, schema == CUSTOM)
            count += kept
            total += middle * kept
            changed |= kept != held.buckets[at]
            buckets[at] = kept
        if zeros[i] > 0:
            negative = first_positive(held.keys[a:b])
            low, high = -held.zero_thresholds[i], held.zero_thresholds[i]
            if negative and negative == b - a:
                high = 0.0
            if negative == 0 and b > a:
                low = 0.0
            kept, middle = _zero_bucket(low, high, zeros[i], values[i], above)
            count += kept
            total += middle * kept
            changed |= kept != zeros[i]
            zeros[i] = kept
        if changed:
            counts[i], sums[i] = count, total
    return counts, sums, zeros, buckets
