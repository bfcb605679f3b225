"""What a native histogram says of its observations: quantiles, fractions, variance. Compiled.

Inside a bucket observations are taken to be spread evenly on a logarithmic scale; in the zero bucket, and between own
bounds, on a linear one. Source: Prometheus documentation, "histogram_quantile", "histogram_fraction".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.query.histograms.bounds import CUSTOM, edges, first_positive
from workbench.store import Histograms

NAN_RESULT, NAN_SKEW = 1, 2
"""Bits of what a quantile should be told with: it falls among observations that are NaN, or they push it up."""


def quantiles(held: Histograms, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The quantile wanted[i] (float64[n]) of histogram i, and its bits (int8[n])."""
    out, bits = _quantiles(held, wanted)
    return out, bits


def fractions(held: Histograms, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the observations of histogram i in (lower[i], upper[i]]; bool[n]: some observations are NaN."""
    out, missing = _fractions(held, lower, upper)
    return out, missing


def variances(held: Histograms) -> np.ndarray:
    """The variance of each histogram's observations, estimated from the middle of its buckets."""
    return np.asarray(_variances(held))


@njit(cache=True, nogil=True)
def laid_out(held, i):  # type: ignore[no-untyped-def]
    """(lower edges, upper edges, counts, place of the zero bucket or -1), ascending; clipped at the zero bucket."""
    a, b = held.bucket_offsets[i], held.bucket_offsets[i + 1]
    keys = held.keys[a:b]
    schema, threshold = held.schemas[i], held.zero_thresholds[i]
    bounds = held.bounds[held.bound_offsets[i] : held.bound_offsets[i + 1]]
    zero = 1 if schema != CUSTOM and held.zero_counts[i] > 0 else 0
    n = len(keys) + zero
    low, high, counts = np.empty(n), np.empty(n), np.empty(n)
    middle = first_positive(keys)
    for at in range(len(keys)):
        to = at + zero if at >= middle else at
        low[to], high[to] = edges(keys[at], schema, bounds)
        if schema != CUSTOM:
            if high[to] < 0 and high[to] > -threshold:
                high[to] = -threshold
            if low[to] > 0 and low[to] < threshold:
                low[to] = threshold
        counts[to] = held.buckets[a + at]
    if zero:
        low[middle], high[middle], counts[middle] = -threshold, threshold, held.zero_counts[i]
        if middle == 0 and len(keys) > 0:
            low[middle] = 0.0
        elif middle == len(keys) and len(keys) > 0:
            high[middle] = 0.0
        return low, high, counts, middle
    return low, high, counts, -1


@njit(cache=True, nogil=True)
def part_below(value, low, high, linear):  # type: ignore[no-untyped-def]
    """The part of a bucket's observations that lies below a value inside of it."""
    if linear:
        return (value - low) / (high - low)
    log_low, log_high = np.log2(abs(low)), np.log2(abs(high))
    if value > 0:
        return (np.log2(value) - log_low) / (log_high - log_low)
    return 1 - (np.log2(abs(value)) - log_high) / (log_low - log_high)


@njit(cache=True, nogil=True)
def _quantiles(held, wanted):  # type: ignore[no-untyped-def]
    n = len(wanted)
    out, bits = np.empty(n), np.zeros(n, np.int8)
    for i in range(n):
        out[i], bits[i] = _quantile(held, i, wanted[i])
    return out, bits


@njit(cache=True, nogil=True)
def _quantile(held, i, q):  # type: ignore[no-untyped-def]
    if q < 0:
        return -np.inf, 0
    if q > 1:
        return np.inf, 0
    whole = held.counts[i]
    if whole == 0 or np.isnan(q):
        return np.nan, 0
    low, high, counts, _ = laid_out(held, i)
    n = len(counts)
    custom = held.schemas[i] == CUSTOM
    with_nan = np.isnan(held.sums[i])
    forward = with_nan or q < 0.5
    rank = q * whole if forward else (1 - q) * whole
    count, at = 0.0, -1
    for step in range(n):
        here = step if forward else n - 1 - step
        if counts[here] == 0:
            continue
        at = here
        count += counts[here]
        if count >= rank:
            break
    if at < 0:
        return (np.nan if with_nan else 0.0), (NAN_RESULT if with_nan else 0)
    lower, upper = low[at], high[at]
    if custom:
        if np.isneginf(lower):
            if upper <= 0:
                return upper, 0
            lower = 0.0
        elif np.isposinf(upper):
            return lower, 0
    count = min(count, whole)
    if count < rank:
        return (np.nan, NAN_RESULT) if with_nan else (upper, 0)
    rank = rank - (count - counts[at]) if forward else count - rank
    bits = 0
    if with_nan:
        for more in range(at + 1, n):
            count += counts[more]
        bits = NAN_SKEW if count < whole else 0
    fraction = rank / counts[at]
    if custom or (lower <= 0 and upper >= 0):
        return lower + (upper - lower) * fraction, bits
    log_low, log_high = np.log2(abs(lower)), np.log2(abs(upper))
    if lower > 0:
        return 2.0 ** (log_low + (log_high - log_low) * fraction), bits
    return -(2.0 ** (log_high + (log_low - log_high) * (1 - fraction))), bits


@njit(cache=True, nogil=True)
def _fractions(held, lowers, uppers):  # type: ignore[no-untyped-def]
    n = len(lowers)
    out, missing = np.empty(n), np.zeros(n, np.bool_)
    for i in range(n):
        whole = held.counts[i]
        if whole == 0 or np.isnan(lowers[i]) or np.isnan(uppers[i]):
            out[i] = np.nan
            continue
        if lowers[i] >= uppers[i]:
            out[i] = 0.0
            continue
        low, high, counts, zero = laid_out(held, i)
        seen = counts.sum()
        total = whole
        if np.isnan(held.sums[i]):
            total = seen
            missing[i] = seen < whole
        custom = held.schemas[i] == CUSTOM
        below = _rank(low, high, counts, zero, custom, lowers[i], total)
        out[i] = (_rank(low, high, counts, zero, custom, uppers[i], total) - below) / whole
    return out, missing


@njit(cache=True, nogil=True)
def _rank(low, high, counts, zero, custom, value, total):  # type: ignore[no-untyped-def]
    """How many observations lie below a value."""
    rank = 0.0
    for at in range(len(counts)):
        lower, upper = low[at], high[at]
        if custom and np.isneginf(lower) and upper > 0:
            lower = 0.0
        if lower >= value:
            return min(rank, total)
        if upper > value:
            if np.isneginf(lower):
                return min(counts[at], total)
            linear = custom or at == zero
            if np.isposinf(upper):
                return min(rank, total)
            return min(rank + counts[at] * part_below(value, lower, upper, linear), total)
        rank += counts[at]
    return total


@njit(cache=True, nogil=True)
def _variances(held):  # type: ignore[no-untyped-def]
    n = len(held.schemas)
    out = np.empty(n)
    for i in range(n):
        mean = held.sums[i] / held.counts[i] if held.counts[i] != 0 else np.nan
        low, high, counts, zero = laid_out(held, i)
        total = lost = 0.0
        for at in range(len(counts)):
            if counts[at] == 0:
                continue
            if held.schemas[i] == CUSTOM:
                middle = (high[at] + low[at]) / 2
            elif at == zero:
                middle = 0.0
            else:
                middle = np.sqrt(high[at] * low[at])
                if high[at] < 0:
                    middle = -middle
            share = counts[at] * (middle - mean) * (middle - mean)
            new = total + share
            if np.isinf(new):
                lost = 0.0
            elif abs(total) >= abs(share):
                lost += (total - new) + share
            else:
                lost += (share - new) + total
            total = new
        out[i] = (total + lost) / held.counts[i] if held.counts[i] != 0 else np.nan
    return out
