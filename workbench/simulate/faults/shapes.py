"""How strong an incident is over time: shapes that its effects follow.

A shape is called with moments and with start and end of its effect (int64 microseconds, UTC) and gives a strength, 0
outside. Most run from 0 to 1; the strength of `hours`, `sawtooth` and `seconds` is a time, in that unit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.simulate.shapes import SECOND_US, renewed_seconds

RAMP_US = 300 * SECOND_US
RISE_US = 180 * SECOND_US
SPIKE_US = 240 * SECOND_US
BLOCK_US = 1200 * SECOND_US
HOUR_US = 3600 * SECOND_US
RESTART_HOURS = 10

Shape = Callable[[np.ndarray, int, int], np.ndarray]


def ramp(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Linear ramps of five minutes at both ends."""
    return np.clip(np.minimum((times_us - start_us) / RAMP_US, (end_us - times_us) / RAMP_US), 0.0, 1.0)


def step(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """1 from start to end."""
    return _inside(times_us, start_us, end_us).astype(float)


def exponential(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Grows e-fold in each 45 s to its height after three minutes, and ends with a ramp."""
    risen = np.exp(np.minimum((times_us - start_us) / RISE_US - 1, 0.0) * 4)
    return np.minimum(risen, np.clip((end_us - times_us) / RAMP_US, 0.0, 1.0)) * (times_us > start_us)


def line(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Grows in a straight line up to the end, and is gone then."""
    return _inside(times_us, start_us, end_us) * np.clip((times_us - start_us) / max(end_us - start_us, 1), 0.0, 1.0)


def filling(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """A line that is full after four fifths of the time, and stays so up to the end."""
    return np.minimum(line(times_us, start_us, end_us) / 0.8, 1.0)


def full(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """1 in the last fifth: what `filling` fills is full."""
    return step(times_us, start_us + (end_us - start_us) * 4 // 5, end_us)


def hours(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Hours since the start."""
    return _inside(times_us, start_us, end_us) * (times_us - start_us) / HOUR_US


def seconds(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Seconds since the start."""
    return _inside(times_us, start_us, end_us) * (times_us - start_us) / SECOND_US


def sawtooth(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Hours since the start or the last of the restarts, of which there is one every ten hours."""
    return hours(times_us, start_us, end_us) % RESTART_HOURS


def swapping(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """0 to 1 in the last fifth before each restart of `sawtooth`."""
    return np.clip((sawtooth(times_us, start_us, end_us) / RESTART_HOURS - 0.8) * 5, 0.0, 1.0)


def blocks(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Twenty minutes on, twenty minutes off."""
    return _inside(times_us, start_us, end_us) * ((times_us - start_us) // BLOCK_US % 2 == 0).astype(float)


def spike(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """At its height at once, gone after four minutes."""
    return _inside(times_us, start_us, end_us) * np.clip(1 - (times_us - start_us) / SPIKE_US, 0.0, 1.0)


def surge(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Linear ramps of ten minutes at both ends."""
    return np.clip(np.minimum((times_us - start_us) / (2 * RAMP_US), (end_us - times_us) / (2 * RAMP_US)), 0.0, 1.0)


def rollout(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """The share that a release serves: a tenth at first, all after a third of the time, none after the roll-back."""
    everywhere = times_us >= start_us + (end_us - start_us) // 3
    return _inside(times_us, start_us, end_us) * np.where(everywhere, 1.0, 0.1)


def expired(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """1 in the last hour, or in the last half of what is shorter than two."""
    return step(times_us, expiry_us(start_us, end_us), end_us)


def expiry_us(start_us: int, end_us: int) -> int:
    """When a certificate that is forgotten from `start_us` to `end_us` expires."""
    return end_us - min(HOUR_US, (end_us - start_us) // 2)


def forgotten(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    """Expiry of a forgotten certificate less that of one that is looked after, in seconds."""
    late = expiry_us(start_us, end_us) / SECOND_US - renewed_seconds(times_us)
    return np.where(_inside(times_us, start_us, end_us), late, 0.0)


def _inside(times_us: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
    return np.asarray((times_us >= start_us) & (times_us < end_us))
