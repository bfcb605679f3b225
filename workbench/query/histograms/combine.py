"""Weighted sums of native histograms, each into one: the heart of `sum`, `rate`, `+` and their kin. Compiled.

Histograms of different resolution meet at the lowest, zero buckets at the widest, own bounds at those that both have;
sums are compensated (Neumaier). Source: https://prometheus.io/docs/specs/native_histograms/.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.histograms.bounds import BIAS, CUSTOM, coarser_key, first_positive, upper_bound, widened
from workbench.schema import GAUGE, NO_RESET, RESET, RESET_UNKNOWN
from workbench.store import Histograms

INCOMPATIBLE, RECONCILED, COLLISION = 1, 2, 4
"""Bits of what happened: exponential and own bounds do not add up; own bounds differed; reset hints contradict."""

NO_CAP = 127


def combine(
    held: Histograms, starts: np.ndarray, items: np.ndarray, weights: np.ndarray, caps: np.ndarray | None = None
) -> tuple[Histograms, np.ndarray]:
    """For each of q results the weighted sum of the histograms items[starts[j]:starts[j + 1]], taken in that order.

    `caps` (int32[q]) bounds the resolution from above. An item of weight 0 lends its layout alone. Returns q histograms
    without empty buckets, and what happened to each (int8[q], bits); what is incompatible is without observations.
    """
    if caps is None:
        caps = np.full(len(starts) - 1, NO_CAP, np.int32)
    *columns, happened = _combine(held, starts, items, weights, caps)
    return Histograms._make(columns), happened


@njit(cache=True, nogil=True)
def _add(value, total, lost):  # type: ignore[no-untyped-def]
    new = total + value
    if np.isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


@njit(cache=True, nogil=True)
def _settled(total, lost):  # type: ignore[no-untyped-def]
    return total if np.isinf(total) else total + lost


@njit(cache=True, nogil=True)
def _coarsened(keys, counts, lost, shift):  # type: ignore[no-untyped-def]
    """Merge neighbours in place; how many buckets are left."""
    n = 0
    for at in range(len(keys)):
        key = coarser_key(keys[at], shift)
        if n and keys[n - 1] == key:
            counts[n - 1], lost[n - 1] = _add(counts[at], counts[n - 1], lost[n - 1])
            lost[n - 1] += lost[at]
        else:
            keys[n], counts[n], lost[n] = key, counts[at], lost[at]
            n += 1
    return n


@njit(cache=True, nogil=True)
def _common(left, right):  # type: ignore[no-untyped-def]
    """Bounds that both have."""
    found = np.empty(min(len(left), len(right)))
    n = i = j = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            found[n] = left[i]
            n += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return found[:n].copy()


@njit(cache=True, nogil=True)
def _rebounded(keys, counts, lost, bounds, common):  # type: ignore[no-untyped-def]
    """Move buckets of own bounds to some of those bounds, in place; how many buckets are left."""
    n = 0
    for at in range(len(keys)):
        index = keys[at] - BIAS
        to = len(common)
        if index < len(bounds):
            to = np.searchsorted(common, bounds[index])
        key = to + BIAS
        if n and keys[n - 1] == key:
            counts[n - 1], lost[n - 1] = _add(counts[at], counts[n - 1], lost[n - 1])
            lost[n - 1] += lost[at]
        else:
            keys[n], counts[n], lost[n] = key, counts[at], lost[at]
            n += 1
    return n


@njit(cache=True, nogil=True)
def _without_zeros(keys, counts, lost, schema, threshold):  # type: ignore[no-untyped-def]
    """Take the buckets away, in place, that a wider zero bucket has swallowed; how many are left."""
    n = 0
    for at in range(len(keys)):
        index = abs(keys[at]) - BIAS
        if upper_bound(index - 1, schema) >= threshold:
            keys[n], counts[n], lost[n] = keys[at], counts[at], lost[at]
            n += 1
    return n


@njit(cache=True, nogil=True)
def _merged(keys, counts, lost, more_keys, more_counts, more_lost, weight):  # type: ignore[no-untyped-def]
    """The buckets of both, ascending; in place where all of the second are in the first."""
    at, missing = 0, 0
    for key in more_keys:
        while at < len(keys) and keys[at] < key:
            at += 1
        missing += at == len(keys) or keys[at] != key
    if missing:
        out_keys = np.empty(len(keys) + missing, np.int64)
        out_counts, out_lost = np.zeros(len(out_keys)), np.zeros(len(out_keys))
        i = j = n = 0
        while i < len(keys) or j < len(more_keys):
            if j == len(more_keys) or (i < len(keys) and keys[i] <= more_keys[j]):
                if j < len(more_keys) and keys[i] == more_keys[j]:
                    j += 1
                out_keys[n], out_counts[n], out_lost[n] = keys[i], counts[i], lost[i]
                i += 1
            else:
                out_keys[n] = more_keys[j]
                j += 1
            n += 1
        keys, counts, lost = out_keys, out_counts, out_lost
    at = 0
    for i in range(len(more_keys)):
        while keys[at] < more_keys[i]:
            at += 1
        counts[at], lost[at] = _add(weight * more_counts[i], counts[at], lost[at])
        lost[at] += weight * more_lost[i]
    return keys, counts, lost


@njit(cache=True, nogil=True)
def _hint(mine, other):  # type: ignore[no-untyped-def]
    """The hint of a sum: where the two are not the same, a gauge if either is one, else unknown."""
    if mine == other:
        return mine
    return GAUGE if max(mine, other) == GAUGE else RESET_UNKNOWN


@njit(cache=True, nogil=True)
def _at_common_bounds(keys, counts, lost, bounds, more_keys, more_counts, theirs):  # type: ignore[no-untyped-def]
    """Both at the bounds that both have: mine, theirs, the bounds."""
    common = _common(bounds, theirs)
    n = _rebounded(keys, counts, lost, bounds, common)
    more_keys, more_counts, more_lost = more_keys.copy(), more_counts.copy(), np.zeros(len(more_keys))
    m = _rebounded(more_keys, more_counts, more_lost, theirs, common)
    return keys[:n], counts[:n], lost[:n], more_keys[:m], more_counts[:m], more_lost[:m], common


@njit(cache=True, nogil=True)
def _at_widest_zero(keys, counts, lost, schema, zero, threshold, held, item):  # type: ignore[no-untyped-def]
    """Mine with a zero bucket as wide as both need: buckets, zero count, threshold; the other's zero count."""
    a, b = held.bucket_offsets[item], held.bucket_offsets[item + 1]
    their_zero, their_threshold = held.zero_counts[item], held.zero_thresholds[item]
    while their_threshold != threshold:
        if threshold > their_threshold:
            their_zero, their_threshold = widened(
                held.keys[a:b], held.buckets[a:b], held.schemas[item], held.zero_counts[item], threshold
            )
        if their_threshold > threshold:
            zero, threshold = widened(keys, counts + lost, schema, zero, their_threshold)
            n = _without_zeros(keys, counts, lost, schema, threshold)
            keys, counts, lost = keys[:n], counts[:n], lost[:n]
    return keys, counts, lost, zero, threshold, their_zero


@njit(cache=True, nogil=True)
def _outside_zero(keys, counts, lost, schema, threshold):  # type: ignore[no-untyped-def]
    """Without the buckets, on both sides, that a zero bucket holds already."""
    middle = first_positive(keys)
    low, high = middle, middle
    while low > 0 and upper_bound(-keys[low - 1] - BIAS, schema) <= threshold:
        low -= 1
    while high < len(keys) and upper_bound(keys[high] - BIAS, schema) <= threshold:
        high += 1
    if low == high:
        return keys, counts, lost
    return (
        np.concatenate((keys[:low], keys[high:])),
        np.concatenate((counts[:low], counts[high:])),
        np.concatenate((lost[:low], lost[high:])),
    )


@njit(cache=True, nogil=True)
def _sum_one(held, items, weights, cap):  # type: ignore[no-untyped-def]
    """One weighted sum: (schema, hint, count, sum, threshold, zero count, keys, buckets, bounds, what happened)."""
    first = items[0]
    a, b = held.bucket_offsets[first], held.bucket_offsets[first + 1]
    schema, hint = held.schemas[first], held.hints[first]
    keys, counts, lost = held.keys[a:b].copy(), weights[0] * held.buckets[a:b], np.zeros(b - a)
    bounds = held.bounds[held.bound_offsets[first] : held.bound_offsets[first + 1]]
    threshold, zero, zero_lost = held.zero_thresholds[first], weights[0] * held.zero_counts[first], 0.0
    count, count_lost = weights[0] * held.counts[first], 0.0
    total, total_lost = weights[0] * held.sums[first], 0.0
    seen_reset, seen_no_reset, happened = hint == RESET, hint == NO_RESET, 0
    if schema != CUSTOM and schema > cap:
        n = _coarsened(keys, counts, lost, schema - cap)
        keys, counts, lost, schema = keys[:n], counts[:n], lost[:n], cap
    for place in range(1, len(items)):
        item, weight = items[place], weights[place]
        other = held.schemas[item]
        if (other == CUSTOM) != (schema == CUSTOM):
            none = np.empty(0)
            return schema, hint, 0.0, 0.0, 0.0, 0.0, keys[:0], none, none, happened | INCOMPATIBLE
        a, b = held.bucket_offsets[item], held.bucket_offsets[item + 1]
        b = a if weight == 0 else b
        more_keys, more_counts, more_lost = held.keys[a:b], held.buckets[a:b], np.zeros(b - a)
        if weight != 0:
            hint = _hint(hint, held.hints[item])
            seen_reset |= held.hints[item] == RESET
            seen_no_reset |= held.hints[item] == NO_RESET
            count, count_lost = _add(weight * held.counts[item], count, count_lost)
            total, total_lost = _add(weight * held.sums[item], total, total_lost)
        if schema == CUSTOM:
            theirs = held.bounds[held.bound_offsets[item] : held.bound_offsets[item + 1]]
            if not np.array_equal(bounds, theirs):
                happened |= RECONCILED
                keys, counts, lost, more_keys, more_counts, more_lost, bounds = _at_common_bounds(
                    keys, counts, lost, bounds, more_keys, more_counts, theirs
                )
        else:
            if weight != 0:
                before = _settled(zero, zero_lost) if threshold != held.zero_thresholds[item] else zero
                zero_lost = 0.0 if threshold != held.zero_thresholds[item] else zero_lost
                keys, counts, lost, zero, threshold, their_zero = _at_widest_zero(
                    keys, counts, lost, schema, before, threshold, held, item
                )
                zero, zero_lost = _add(weight * their_zero, zero, zero_lost)
            if other < schema:
                n = _coarsened(keys, counts, lost, schema - other)
                keys, counts, lost, schema = keys[:n], counts[:n], lost[:n], other
            elif other > schema:
                more_keys, more_counts = more_keys.copy(), more_counts.copy()
                n = _coarsened(more_keys, more_counts, more_lost, other - schema)
                more_keys, more_counts, more_lost = more_keys[:n], more_counts[:n], more_lost[:n]
            if threshold > 0:
                more_keys, more_counts, more_lost = _outside_zero(more_keys, more_counts, more_lost, schema, threshold)
        keys, counts, lost = _merged(keys, counts, lost, more_keys, more_counts, more_lost, weight)
    if seen_reset and seen_no_reset:
        happened |= COLLISION
    for at in range(len(counts)):
        counts[at] = _settled(counts[at], lost[at])
    return (
        schema, hint, _settled(count, count_lost), _settled(total, total_lost), threshold,
        _settled(zero, zero_lost), keys, counts, bounds, happened,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _room(values, used, more):  # type: ignore[no-untyped-def]
    """The same array, or a longer one with its content, so that `more` fit behind what is used."""
    if used + more <= len(values):
        return values
    grown = np.empty(2 * (used + more), values.dtype)
    grown[:used] = values[:used]
    return grown


@njit(cache=True, nogil=True)
def _combine(held, starts, items, weights, caps):  # type: ignore[no-untyped-def]
    q = len(starts) - 1
    schemas, hints, happened = np.zeros(q, np.int32), np.zeros(q, np.int8), np.zeros(q, np.int8)
    counts, sums, thresholds, zeros = np.zeros(q), np.zeros(q), np.zeros(q), np.zeros(q)
    bucket_offsets, bound_offsets = np.zeros(q + 1, np.int64), np.zeros(q + 1, np.int64)
    keys, buckets, bounds = np.empty(16 * q + 16, np.int64), np.empty(16 * q + 16), np.empty(16)
    m = b = 0
    for j in range(q):
        if starts[j] < starts[j + 1]:
            span = slice(starts[j], starts[j + 1])
            schema, hint, counts[j], sums[j], thresholds[j], zeros[j], own, values, own_bounds, bits = _sum_one(
                held, items[span], weights[span], caps[j]
            )
            schemas[j], hints[j], happened[j] = schema, hint, bits
            keys, buckets = _room(keys, m, len(values)), _room(buckets, m, len(values))
            for at in range(len(values)):
                if values[at] != 0:
                    keys[m], buckets[m] = own[at], values[at]
                    m += 1
            bounds = _room(bounds, b, len(own_bounds))
            bounds[b : b + len(own_bounds)] = own_bounds
            b += len(own_bounds)
        bucket_offsets[j + 1], bound_offsets[j + 1] = m, b
    return (
        schemas, hints, counts, sums, thresholds, zeros, bucket_offsets, keys[:m].copy(), buckets[:m].copy(),
        bound_offsets, bounds[:b].copy(), happened,
    )  # fmt: skip
