"""The grid of time on which everything is drawn, and the random generators that belong to its places.

History looks at the ends of cells (5 min), live data at steps (10 s) inside them. Each place has its own generator,
keyed by seed, stream and place (Philox is counter-based), so any moment can be drawn without those before it.
"""

from __future__ import annotations

import numpy as np

from workbench.simulate.shapes import DAY_US, SECOND_US

STEP_US = 10 * SECOND_US
CELL_US = 300 * SECOND_US
STEPS = CELL_US // STEP_US
CELLS = DAY_US // CELL_US

SCHEDULE, FLOW_DAY, FLOW_CELL, GAUGE_DAY, GAUGE_CELL, BLOCK, PEOPLE, ACTIVE = range(1, 9)
ITEMS, VISITS, CALLS, BILLS, CHANGES, SECURITY, IDS = range(9, 16)
"""Streams of random numbers: incidents by day, two each for what counts and for what is gauged, incidents by block of
thirty days, who signs up, who is active; and one for each kind of single rows."""


def generator(seed: int, stream: int, place: int) -> np.random.Generator:
    """The generator of one place (number of a day or of a cell since 1970) in one stream."""
    return np.random.Generator(np.random.Philox(key=[seed % 2**64, (stream << 40) + place]))


def month_start_us(time_us: int) -> int:
    """When the month began (UTC): every component is released and restarted then, so its counters start there."""
    month = np.datetime64(time_us, "us").astype("datetime64[M]")
    return int(month.astype("datetime64[us]").astype(np.int64))
