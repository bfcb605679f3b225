"""Points laid out by the kernel are those that Python's lists give."""

from __future__ import annotations

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.query import Result

VALUES = st.one_of(
    st.floats(width=64), st.integers(-1000, 1000).map(float), st.sampled_from([np.nan, np.inf, -np.inf, -0.0, 1e21])
)


@settings(deadline=None)
@given(st.data(), st.sampled_from(["matrix", "vector"]), st.integers(1, 40))
def test_many_points_read_like_few(data, kind, steps):
    steps = steps if kind == "matrix" else 1
    rows = 101 // steps + 1
    times_us = np.cumsum(data.draw(st.lists(st.integers(1, 10**8), min_size=steps, max_size=steps)))
    some = data.draw(st.lists(VALUES, min_size=1, max_size=60))
    present = np.resize(data.draw(st.lists(st.booleans(), min_size=1, max_size=17)), (rows, steps))
    present[:, 0] = True  # a series without points is not in an answer
    labels = [{"row": str(row)} for row in range(rows)]
    result = Result(kind, labels, times_us, np.resize(np.array(some), (rows, steps)), present, "")
    quick = orjson.loads(orjson.dumps(result.to_prometheus(encoded=True)))
    assert quick == orjson.loads(orjson.dumps(result.to_prometheus()))
