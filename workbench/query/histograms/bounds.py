"""Where buckets begin and end, and how a zero bucket widens. Compiled; keys are those of `store.histograms.KEY_BIAS`.

Source: https://prometheus.io/docs/specs/native_histograms/ ("Zero bucket", "Schema").
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

BIAS = 1 << 40
CUSTOM = -53
_LARGEST = np.finfo(np.float64).max


@njit(cache=True, nogil=True)
def upper_bound(index, schema):  # type: ignore[no-untyped-def]
    """The bound farther from zero of an exponential bucket; of the last that is finite, the largest float."""
    if schema <= 0:
        exponent = index << -schema
        fraction = 1.0
    else:
        exponent = index >> schema
        fraction = 2.0 ** ((index & ((1 << schema) - 1)) / (1 << schema))
    if exponent > 1024 or (exponent == 1024 and fraction > 1.0):
        return np.inf
    if exponent == 1024:
        return _LARGEST
    if exponent < -1080:
        return 0.0
    return math.ldexp(fraction, exponent)


@njit(cache=True, nogil=True)
def edges(key, schema, bounds):  # type: ignore[no-untyped-def]
    """(lower, upper) of the bucket with a key; `bounds` are the histogram's own, where it has any."""
    if schema == CUSTOM:
        index = key - BIAS
        low = bounds[index - 1] if 0 < index <= len(bounds) else -np.inf
        high = bounds[index] if index < len(bounds) else np.inf
        return low, high
    if key > 0:
        return upper_bound(key - BIAS - 1, schema), upper_bound(key - BIAS, schema)
    return -upper_bound(-key - BIAS, schema), -upper_bound(-key - BIAS - 1, schema)


@njit(cache=True, nogil=True)
def coarser_key(key, shift):  # type: ignore[no-untyped-def]
    """The key of the bucket that holds it at a schema that is lower by `shift`."""
    if key > 0:
        return ((key - BIAS - 1) >> shift) + 1 + BIAS
    return -(((-key - BIAS - 1) >> shift) + 1 + BIAS)


@njit(cache=True, nogil=True)
def first_positive(keys):  # type: ignore[no-untyped-def]
    """How many of the ascending keys are negative."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < 0:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def widened(keys, counts, schema, zero_count, threshold):  # type: ignore[no-untyped-def]
    """(zero count, threshold) of a histogram whose zero bucket grows to a threshold.

    Where the threshold lies inside a populated bucket, it grows to the end of that bucket.
    """
    middle = first_positive(keys)
    while True:
        total = zero_count
        for at in range(middle, len(keys)):
            index = keys[at] - BIAS
            if upper_bound(index - 1, schema) >= threshold:
                break
            total += counts[at]
            if upper_bound(index, schema) > threshold:
                if counts[at] != 0:
                    threshold = upper_bound(index, schema)
                break
        again = False
        for back in range(middle):
            at = middle - 1 - back
            index = -keys[at] - BIAS
            if upper_bound(index - 1, schema) >= threshold:
                break
            total += counts[at]
            if upper_bound(index, schema) > threshold:
                if counts[at] != 0:
                    threshold = upper_bound(index, schema)
                    again = True
                break
        if not again:
            return total, threshold
