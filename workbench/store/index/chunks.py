"""The chunks of some series in one block, and the samples in them."""

from __future__ import annotations

import numpy as np
from pcodec import standalone

from workbench.store.index import decode
from workbench.store.index.block import Block
from workbench.store.index.layout import PCO

_SERIES_A_PIECE = 128


class Damaged(Exception):
    """A block whose blobs are not what it says of them."""

    def __init__(self, block: Block, what: str) -> None:
        super().__init__(what)
        self.block = block
        self.what = what


class Chunks:
    """The samples of series in a block with start <= time <= end. `counts` int64[n]: how many each has.

    Raises Damaged, here and in `decode`.
    """

    def __init__(self, block: Block, ids: np.ndarray, start_us: int, end_us: int) -> None:
        self._block = block
        self._start_us, self._end_us = start_us, end_us
        self._rows = block.rows(ids)
        self.counts = np.zeros(len(ids), np.int64)
        self._check(decode.count(block.records, block.words, self._rows, start_us, end_us, self.counts))

    def pieces(self) -> list[slice]:
        """Slices of the series that may be decoded at the same time."""
        return [slice(a, a + _SERIES_A_PIECE) for a in range(0, len(self._rows), _SERIES_A_PIECE)]

    def decode(self, piece: slice, places: np.ndarray, times: np.ndarray, values: np.ndarray) -> None:
        """Write the samples of a slice of the series; those of series i from places[i] on."""
        block, rows, to = self._block, self._rows[piece], places[piece]
        failed = decode.decode(block.records, block.words, rows, self._start_us, self._end_us, to, times, values)
        self._check(failed)
        packed = np.flatnonzero((rows >= 0) & (block.records["value_mode"][rows] == PCO))
        for i in packed.tolist():
            count = int(self.counts[piece][i])
            if count:
                values[to[i] : to[i] + count] = self._decompressed(int(rows[i]), count)

    def _decompressed(self, row: int, count: int) -> np.ndarray:
        block, record = self._block, self._block.records[row]
        begin = int(record["offset"]) + int(record["time_words"])
        blob = block.words[begin:].view(np.uint8)[: int(record["value_bytes"])].tobytes()
        values = np.empty(int(record["n"]))
        try:
            standalone.simple_decompress_into(blob, values)
        except RuntimeError as error:
            raise Damaged(block, str(error)) from error
        first = 0
        if record["first_us"] < self._start_us:
            first = decode.first_place(block.records, block.words, row, self._start_us)
        return values[first : first + count]

    def _check(self, row: int) -> None:
        if row != decode.FINE:
            raise Damaged(self._block, f"the blob of series {self._block.ids[row]} is not what it should be")
