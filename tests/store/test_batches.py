"""Batches as bytes: what was encoded is decoded, anything else is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.schema import KINDS
from workbench.store import decode_batches, encode_batches

from .conftest import event_batch, sample_batch

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def values_of(type_: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_string(type_):
        return TEXT
    if pa.types.is_boolean(type_):
        return st.booleans()
    if pa.types.is_floating(type_):
        return st.floats(allow_nan=False)
    if pa.types.is_integer(type_):
        bits = type_.bit_width - 1
        return st.integers(-(2**bits), 2**bits - 1)
    if pa.types.is_timestamp(type_):
        return st.integers(0, 2**51)
    if pa.types.is_map(type_):
        return st.lists(st.tuples(TEXT, TEXT), max_size=2)
    if pa.types.is_list(type_):
        return st.lists(values_of(type_.value_type), max_size=2)
    return st.fixed_dictionaries({f.name: st.none() | values_of(f.type) for f in type_})


@st.composite
def batches(draw: st.DrawFn) -> dict[str, pa.RecordBatch]:
    made = {}
    for kind in draw(st.lists(st.sampled_from(list(KINDS)), unique=True, max_size=3)):
        count = draw(st.integers(0, 4))
        columns = []
        for field in KINDS[kind].schema:
            one = values_of(field.type)
            several = st.lists(one | st.none() if field.nullable else one, min_size=count, max_size=count)
            empty = st.just([None] * count)
            columns.append(pa.array(draw(several | empty if field.nullable else several), field.type))
        made[kind] = pa.RecordBatch.from_arrays(columns, schema=KINDS[kind].schema)
    return made


@given(batches())
def test_round_trip(given_batches: dict[str, pa.RecordBatch]) -> None:
    assert decode_batches(encode_batches(given_batches)) == given_batches


@given(batches(), st.data())
def test_no_damage_passes_or_crashes(given_batches: dict[str, pa.RecordBatch], data: st.DataObject) -> None:
    whole = encode_batches(given_batches)
    cut = data.draw(st.integers(0, len(whole) - 1))
    if cut < len(whole.rstrip(b"\0")):
        with pytest.raises(InputError):
            decode_batches(whole[:cut])
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(InputError):  # a changed value may pass: the checksum of the log is another layer
        decode_batches(bytes(damaged))


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    if garbage[:2] != b"\x01\x00":
        with pytest.raises(InputError):
            decode_batches(garbage)


def test_staleness_bits_survive() -> None:
    bits = (0x7FF0000000000002).to_bytes(8, "little")
    values = pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(bits)])
    batch = sample_batch([1], [0], [0.0]).set_column(3, "value", values)
    assert (
        decode_batches(encode_batches({"samples": batch}))["samples"].column("value").buffers()[1].to_pybytes() == bits
    )


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no kind 'sample'"):
        encode_batches({"sample": sample_batch([1], [0], [0.0])})
    with pytest.raises(InputError, match="value"):
        encode_batches({"samples": sample_batch([1], [0], [0.0]).drop_columns(["value"])})
    with pytest.raises(InputError, match="id has nulls"):
        encode_batches({"events": event_batch([None], [0])})  # type: ignore[list-item]
