"""Chunks: whatever goes in comes out to the bit, and what was changed on the way is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store.index.conftest import STALE

from workbench.store.index.block import Block, BlockWriter, open_block
from workbench.store.index.chunks import Chunks, Damaged
from workbench.store.index.encode import encode
from workbench.store.index.layout import CONSTANT, DECIMAL, DECIMAL_STEPS, PCO, REGULAR, TIME_GRID, TIME_STEPS

STEP_US = 10_000_000
RANDOM = np.random.default_rng(5)


def written(path, series: list[tuple[np.ndarray, np.ndarray]]) -> Block:
    """A file with a chunk per series, ids 1, 2, ..."""
    offsets = np.concatenate(([0], np.cumsum([len(times) for times, _ in series])))
    times = np.concatenate([times for times, _ in series]).astype(np.int64)
    values = np.concatenate([values for _, values in series]).astype(np.float64)
    writer = BlockWriter(path, int(times.min()), int(times.max()) + 1)
    writer.write(np.arange(1, len(series) + 1), encode(offsets, times, values), 0)
    writer.close()
    return open_block(path)


def read(block: Block, start_us: int = -(2**62), end_us: int = 2**62) -> list[tuple[np.ndarray, np.ndarray]]:
    """The samples of every chunk."""
    chunks = Chunks(block, block.ids, start_us, end_us)
    ends = np.cumsum(chunks.counts)
    times, values = np.empty(ends[-1], np.int64), np.empty(ends[-1])
    for piece in chunks.pieces():
        chunks.decode(piece, ends - chunks.counts, times, values)
    return [(times[b - n : b], values[b - n : b]) for b, n in zip(ends, chunks.counts, strict=True)]


def equal(times: np.ndarray, values: np.ndarray, found: tuple[np.ndarray, np.ndarray]) -> bool:
    return np.array_equal(times, found[0]) and np.array_equal(
        values.astype(np.float64).view(np.int64), found[1].view(np.int64)
    )


@st.composite
def series(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Anything that a run may hold: regular or not, with gaps and clock steps; any bits as values."""
    count = draw(st.integers(1, 300))
    distances = draw(
        st.one_of(
            st.just([STEP_US]),
            st.lists(st.integers(1, 3 * STEP_US), min_size=1, max_size=7),
            st.lists(st.sampled_from([STEP_US - 3000, STEP_US, STEP_US + 3000, 50 * STEP_US]), min_size=1, max_size=9),
        )
    )
    times = draw(st.integers(0, 2**52)) + np.cumsum(np.resize(np.array(distances, np.int64), count))
    kinds = st.one_of(
        st.lists(st.integers(-(2**53), 2**53).map(float), min_size=1, max_size=20),
        st.lists(st.integers(0, 100).map(lambda x: x / 100), min_size=1, max_size=20),
        st.lists(st.floats(width=64), min_size=1, max_size=20),
        st.lists(st.integers(0, 2**64 - 1).map(_float_of), min_size=1, max_size=20),
        st.lists(st.sampled_from([1.0, 2.0, -0.0, 0.0, STALE, np.nan, np.inf]), min_size=1, max_size=20),
    )
    return times, np.resize(np.array(draw(kinds), np.float64), count)


def _float_of(bits: int) -> float:
    return float(np.array([bits], np.uint64).view(np.float64)[0])


@given(st.lists(series(), min_size=1, max_size=4), st.integers(0, 2**53), st.integers(0, 2**30))
def test_what_goes_in_comes_out_to_the_bit(tmp_path_factory, given_, start_us, width_us):
    block = written(tmp_path_factory.mktemp("chunks") / "a.chunks", given_)
    for (times, values), got in zip(given_, read(block), strict=True):
        assert equal(times, values, got)
    middle = int(given_[0][0][len(given_[0][0]) // 2])
    for low in (start_us, middle, middle - width_us):
        for (times, values), got in zip(given_, read(block, low, low + width_us), strict=True):
            inside = (times >= low) & (times <= low + width_us)
            assert equal(times[inside], values[inside], got)


def regular(count: int = 720) -> np.ndarray:
    return 1_700_000_000_000_000 + np.arange(count) * STEP_US


def jittered(count: int = 720) -> np.ndarray:
    return regular(count) + RANDOM.integers(-3, 4, count) * 1000


@pytest.mark.parametrize(
    ("times", "values", "time_mode", "value_mode", "most_bytes"),
    [
        (regular(), np.full(720, 7.5), REGULAR, CONSTANT, 0.01),
        (regular(), RANDOM.integers(40, 60, 720) / 100, REGULAR, DECIMAL, 0.8),
        (regular(), np.cumsum(RANDOM.integers(0, 60, 720)), REGULAR, DECIMAL_STEPS, 0.9),
        (jittered(), np.full(720, 7.5), TIME_GRID, CONSTANT, 0.5),
        (np.delete(regular(), slice(100, 300)), np.full(520, 7.5), TIME_STEPS, CONSTANT, 0.2),
        (regular(), RANDOM.normal(size=720), REGULAR, PCO, 7.5),
        (regular(), np.append(RANDOM.integers(0, 9, 719), STALE), REGULAR, DECIMAL, 0.65),
    ],
)
def test_each_shape_finds_its_coding(tmp_path, times, values, time_mode, value_mode, most_bytes):
    block = written(tmp_path / "a.chunks", [(times, values)])
    assert equal(times, values, read(block)[0])
    assert (block.records["time_mode"][0], block.records["value_mode"][0]) == (time_mode, value_mode)
    assert 8 * len(block.words) / len(times) <= most_bytes


def test_the_directory_sums_up_what_is_in_a_chunk(tmp_path):
    values = np.array([5.0, 7.0, 2.0, np.nan, 4.0, STALE, 3.0])
    record = written(tmp_path / "a.chunks", [(regular(7), values)]).records[0]
    assert (record["n"], record["stale"], record["nans"]) == (7, 1, 1)
    assert (record["low"], record["high"], record["total"]) == (2.0, 7.0, 21.0)
    assert (record["first"], record["last"]) == (5.0, 3.0)
    assert record["fallen"] == 7.0 + 4.0


@given(st.data())
def test_no_flipped_bit_passes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("chunks") / "a.chunks"
    given_ = [(jittered(90), RANDOM.integers(0, 99, 90) / 10), (regular(90), RANDOM.normal(size=90))]
    written(path, given_)
    torn = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(torn) - 1))
    torn[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(torn)
    with pytest.raises((Damaged, Exception), match=r"not what it should be|checksum|layout|bytes long"):
        read(open_block(path))


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.chunks"
    written(path, [(regular(), RANDOM.normal(size=720))])
    whole = path.read_bytes()
    for size in (0, 50, 128, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(Exception, match=r"shorter|bytes long"):
            open_block(path)
