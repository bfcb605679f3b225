"""Compensated sums (Neumaier), the base of all kernels that add: what is lost to rounding is carried beside the sum."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True, nogil=True)
def add(total: float, lost: float, value: float) -> tuple[float, float]:
    """The sum with one more value, and what is lost so far. Once it is infinite nothing is: it would only be NaN."""
    new = total + value
    if np.isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


@njit(cache=True, nogil=True)
def add_mean(total: float, lost: float, value: float, count: int, running: bool) -> tuple[float, float, bool]:
    """One more value, the `count`-th, towards a mean: `total` is a sum until that would overflow, then a running mean.

    Prometheus' `avg_over_time` and `avg`.
    """
    if not running:
        new, new_lost = add(total, lost, value)
        if not np.isinf(new):
            return new, new_lost, False
        total, lost = total / (count - 1), lost / (count - 1)
    share = (count - 1) / count
    total, lost = add(share * total, share * lost, value / count)
    return total, lost, True


@njit(cache=True, nogil=True)
def mean_of(total: float, lost: float, count: int, running: bool) -> float:
    """The mean that `add_mean` has come to."""
    return total + lost if running else total / count + lost / count


@njit(cache=True, nogil=True)
def grouped(operation: int, values: Array, present: Array, starts: Array) -> Array:
    """Sum (0), mean (1) or variance (2) down the rows of every group and step: float64[groups, k].

    values float64[n, k], present bool[n, k]; a group is the rows from its start to the next one's.
    """
    groups, k = len(starts), values.shape[1]
    out = np.zeros((groups, k))
    for g in range(groups):
        stop = starts[g + 1] if g + 1 < groups else len(values)
        for t in range(k):
            count = 0
            total = lost = mean = 0.0
            running = False
            finite = True
            for row in range(starts[g], stop):
                if not present[row, t]:
                    continue
                value = values[row, t]
                count += 1
                if operation == 0:
                    total, lost = add(total, lost, value)
                elif operation == 1:
                    if count == 1:
                        total = value
                    else:
                        total, lost, running = add_mean(total, lost, value, count, running)
                else:
                    finite = finite and np.isfinite(value)
                    distance = value - mean
                    mean += distance / count
                    total += distance * (value - mean)
            if operation == 0:
                out[g, t] = total + lost
            elif count and operation == 1:
                out[g, t] = mean_of(total, lost, count, running)
            elif count:
                out[g, t] = total / count if finite else np.nan
    return out
