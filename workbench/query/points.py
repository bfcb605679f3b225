"""Points as the JSON of Prometheus' API, `[time,"value"]`, many at once: what a large answer spends its time on.

orjson writes the digits of all values in one go; a kernel then lays times, digits and punctuation side by side.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import orjson
from numba import njit

from workbench.query.promql.text import format_float

Array = np.ndarray


def encoded_points(times: list[int | float], values: Array, present: Array) -> list[bytes]:
    """For each series its points, parted by commas. times: seconds, one a step; values, present: [n, k]."""
    flat = values[present]
    if not len(flat):
        return [b""] * len(values)
    text = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    digits = np.frombuffer(text, np.uint8)
    starts, ends = np.empty(len(flat), np.int64), np.empty(len(flat), np.int64)
    odd = _tokens(digits, starts, ends)
    if len(odd):
        # Exponents, infinities and what is no number are spelled otherwise by Prometheus.
        spelled = [format_float(value).encode() for value in flat[odd].tolist()]
        ends[odd] = len(digits) + np.cumsum([len(one) for one in spelled])
        starts[odd] = ends[odd] - [len(one) for one in spelled]
        digits = np.frombuffer(text + b"".join(spelled), np.uint8)
    heads = [b'[%s,"' % orjson.dumps(time) for time in times]
    places = np.concatenate(([0], np.cumsum([len(head) for head in heads])))
    columns = np.nonzero(present)[1]
    size = int((places[columns + 1] - places[columns]).sum() + (ends - starts).sum() + 3 * len(flat))
    out = np.empty(size, np.uint8)
    counts = np.concatenate(([0], np.cumsum(present.sum(axis=1))))
    edges = np.zeros(len(values) + 1, np.int64)
    _lay_out(digits, starts, ends, np.frombuffer(b"".join(heads), np.uint8), places, columns, counts, edges, out)
    whole = out.tobytes()
    return [whole[a : max(a, b - 1)] for a, b in pairwise(edges.tolist())]


@njit(cache=True, nogil=True)
def _tokens(digits: Array, starts: Array, ends: Array) -> Array:
    """Where each number of a JSON list begins and ends, without `.0`; which are `null` or have an exponent."""
    odd = np.zeros(len(starts), np.bool_)
    number, start = 0, 1
    for at in range(1, len(digits)):
        byte = digits[at]
        if byte in (44, 93):  # , ]
            end = at
            if at - start > 2 and digits[at - 1] == 48 and digits[at - 2] == 46:  # .0
                end = at - 2
            starts[number], ends[number] = start, end
            number += 1
            start = at + 1
        elif byte in (101, 110):  # e n
            odd[number] = True
    return np.flatnonzero(odd)


@njit(cache=True, nogil=True)
def _lay_out(digits, starts, ends, heads, places, columns, counts, edges, out):  # type: ignore[no-untyped-def]
    to = 0
    for row in range(len(counts) - 1):
        for i in range(counts[row], counts[row + 1]):
            for at in range(places[columns[i]], places[columns[i] + 1]):
                out[to] = heads[at]
                to += 1
            for at in range(starts[i], ends[i]):
                out[to] = digits[at]
                to += 1
            out[to], out[to + 1], out[to + 2] = 34, 93, 44  # "],
            to += 3
        edges[row + 1] = to
