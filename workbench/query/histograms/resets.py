"""Whether a histogram counts on from another, or began anew; whether two are the same. Compiled.

Source: https://prometheus.io/docs/specs/native_histograms/ ("Counter reset considerations").
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.histograms.bounds import BIAS, CUSTOM, coarser_key, upper_bound, widened
from workbench.schema import NO_RESET, RESET
from workbench.store import Histograms


def were_reset(held: Histograms, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """bool[q]: whether a counter was reset between histograms before[j] and after[j]; hints of the later are believed.

    It was where any count fell, where the resolution rose or the zero bucket shrank.
    """
    return np.asarray(_were_reset(held, before, after, True))


def counts_fell(held: Histograms, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The same, looking at nothing but the counts."""
    return np.asarray(_were_reset(held, before, after, False))


def equal(left: Histograms, right: Histograms) -> np.ndarray:
    """bool[n]: whether histograms i of both are the same, bit by bit, hints aside."""
    same = (left.schemas == right.schemas) & (left.zero_thresholds == right.zero_thresholds)
    for mine, theirs in ((left.counts, right.counts), (left.sums, right.sums), (left.zero_counts, right.zero_counts)):
        same &= mine.view(np.int64) == theirs.view(np.int64)
    return np.asarray(_same_buckets(left, right, same))


@njit(cache=True, nogil=True)
def _were_reset(held, before, after, believe):  # type: ignore[no-untyped-def]
    out = np.zeros(len(after), np.bool_)
    for j in range(len(after)):
        hint = held.hints[after[j]]
        if believe and hint in (RESET, NO_RESET):
            out[j] = hint == RESET
        else:
            out[j] = _fell(held, before[j], after[j])
    return out


@njit(cache=True, nogil=True)
def _fell(held, old, new):  # type: ignore[no-untyped-def]
    schema, threshold = held.schemas[new], held.zero_thresholds[new]
    if held.counts[new] < held.counts[old]:
        return True
    a, b = held.bucket_offsets[old], held.bucket_offsets[old + 1]
    c, d = held.bucket_offsets[new], held.bucket_offsets[new + 1]
    if schema == CUSTOM or held.schemas[old] == CUSTOM:
        if schema != held.schemas[old]:
            return True
        left = held.bounds[held.bound_offsets[old] : held.bound_offsets[old + 1]]
        right = held.bounds[held.bound_offsets[new] : held.bound_offsets[new + 1]]
        if np.array_equal(left, right):
            return _bucket_fell(held.keys[a:b], held.buckets[a:b], held.keys[c:d], held.buckets[c:d])
        return _rolled_up_fell(left, held.keys[a:b], held.buckets[a:b], right, held.keys[c:d], held.buckets[c:d])
    if schema > held.schemas[old] or threshold < held.zero_thresholds[old]:
        return True
    keys, counts, zero = held.keys[a:b], held.buckets[a:b], held.zero_counts[old]
    if threshold != held.zero_thresholds[old]:
        zero, widest = widened(keys, counts, held.schemas[old], zero, threshold)
        if widest != threshold:
            return True
    if held.zero_counts[new] < zero:
        return True
    shift = held.schemas[old] - schema
    if shift or threshold > 0:
        more_keys, more_counts, n = np.empty(len(keys), np.int64), np.empty(len(keys)), 0
        for at in range(len(keys)):
            key = coarser_key(keys[at], shift)
            if upper_bound(abs(key) - BIAS, schema) <= threshold:
                continue
            if n and more_keys[n - 1] == key:
                more_counts[n - 1] += counts[at]
            else:
                more_keys[n], more_counts[n] = key, counts[at]
                n += 1
        keys, counts = more_keys[:n], more_counts[:n]
    return _bucket_fell(keys, counts, held.keys[c:d], held.buckets[c:d])


@njit(cache=True, nogil=True)
def _bucket_fell(old_keys, old_counts, new_keys, new_counts):  # type: ignore[no-untyped-def]
    at = 0
    for i in range(len(old_keys)):
        while at < len(new_keys) and new_keys[at] < old_keys[i]:
            at += 1
        if at < len(new_keys) and new_keys[at] == old_keys[i]:
            if new_counts[at] < old_counts[i]:
                return True
        elif old_counts[i] != 0:
            return True
    return False


@njit(cache=True, nogil=True)
def _rolled_up_fell(old_bounds, old_keys, old_counts, new_bounds, new_keys, new_counts):  # type: ignore[no-untyped-def]
    """Compare what lies between the bounds that both have."""
    i = j = old_at = new_at = 0
    while i <= len(old_bounds) and j <= len(new_bounds):
        old_bound = old_bounds[i] if i < len(old_bounds) else np.inf
        new_bound = new_bounds[j] if j < len(new_bounds) else np.inf
        if old_bound < new_bound:
            i += 1
            continue
        if old_bound > new_bound:
            j += 1
            continue
        old_sum = new_sum = 0.0
        while old_at < len(old_keys) and old_keys[old_at] - BIAS <= i:
            old_sum += old_counts[old_at]
            old_at += 1
        while new_at < len(new_keys) and new_keys[new_at] - BIAS <= j:
            new_sum += new_counts[new_at]
            new_at += 1
        if new_sum < old_sum:
            return True
        i += 1
        j += 1
    return False


@njit(cache=True, nogil=True)
def _same_buckets(left, right, same):  # type: ignore[no-untyped-def]
    out = same.copy()
    for i in range(len(same)):
        if out[i]:
            a, b = left.bucket_offsets[i], left.bucket_offsets[i + 1]
            c, d = right.bucket_offsets[i], right.bucket_offsets[i + 1]
            e, f = left.bound_offsets[i], left.bound_offsets[i + 1]
            g, h = right.bound_offsets[i], right.bound_offsets[i + 1]
            out[i] = (
                np.array_equal(left.keys[a:b], right.keys[c:d])
                and np.array_equal(left.buckets[a:b], right.buckets[c:d])
                and np.array_equal(left.bounds[e:f], right.bounds[g:h])
            )
    return out
