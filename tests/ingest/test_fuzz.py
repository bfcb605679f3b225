"""Doors for machines under changed and senseless bodies: refused or taken, never a crash, and rows that are whole."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random

import grpc
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tests.ingest.conftest import NOBODY, TOKEN, MemoryWriter
from tests.ingest.messages import add_attributes, now_ms, otlp_request, snap, write_request
from tests.ingest.test_events import event
from tests.ingest.test_grpc import serve
from workbench import config
from workbench.alert import load_rules
from workbench.errors import Busy, ConfigError, InputError
from workbench.ingest import Receiver
from workbench.ingest.events import BATCH, PLAIN, SINGLE
from workbench.ingest.grpc import EXPORT
from workbench.ingest.receiver import JSON, PROTOBUF

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
PROFILE = profile(
    deadline=None, max_examples=EXAMPLES, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def door():
    """(receiver, writer): the writer checks every batch to the last value."""
    writer = MemoryWriter()
    made = Receiver(writer, config.Settings())
    yield made, writer
    made.close()


def otlp_body() -> bytes:
    request, metrics = otlp_request()
    at = now_ms() * 10**6
    add_attributes(metrics.add(name="g", unit="s").gauge.data_points.add(time_unix_nano=at, as_double=1.5), a="b")
    counter = metrics.add(name="c").sum
    counter.aggregation_temporality, counter.is_monotonic = 2, True
    counter.data_points.add(time_unix_nano=at, as_int=3, start_time_unix_nano=5)
    histogram = metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    point = histogram.data_points.add(time_unix_nano=at, count=3, sum=2.5)
    point.explicit_bounds.extend([1, 2])
    point.bucket_counts.extend([1, 1, 1])
    exponential = metrics.add(name="e").exponential_histogram
    exponential.aggregation_temporality = 2
    exponential.data_points.add(time_unix_nano=at, count=2, scale=3, zero_count=1).positive.bucket_counts.append(1)
    summary = metrics.add(name="s").summary.data_points.add(time_unix_nano=at, count=2, sum=1)
    summary.quantile_values.add(quantile=0.5, value=1)
    return request.SerializeToString()


def write_body() -> bytes:
    t = now_ms()
    return write_request([({"__name__": "up", "job": "a"}, [(t, 1.0), (t + 1, 2.0)]), ({"__name__": "b"}, [(t, 0.0)])])


@st.composite
def broken(draw, whole: bytes) -> bytes:
    """A message with some bytes changed, cut out or put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        change = draw(st.sampled_from(["flip", "cut", "insert", "double", "huge"]))
        if change == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del content[at : at + draw(st.integers(1, 8))]
        elif change == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=6))
        elif change == "double":
            content[at:at] = content[max(0, at - 40) : at]
        else:
            content[at:at] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    return bytes(content)


def taken(call, *arguments) -> None:
    try:
        outcome = call(*arguments)
    except (InputError, Busy):
        return
    assert outcome.accepted >= 0
    assert outcome.rejected >= 0
    if outcome.future is not None:
        outcome.future.result(10)


callers = st.sampled_from([TOKEN, NOBODY])


@PROFILE
@given(
    broken(otlp_body()), st.sampled_from([PROTOBUF, JSON, "text/plain"]), st.sampled_from(["", "gzip", "br"]), callers
)
def test_otlp(door, body, media, encoding, caller):
    taken(door[0].otlp_metrics, gzip.compress(body) if encoding == "gzip" else body, media, encoding, caller)


@PROFILE
@given(broken(write_body()), st.booleans(), callers)
def test_remote_write(door, body, packed, caller):
    taken(door[0].remote_write, snap(body) if packed else body, PROTOBUF, "snappy", caller)


json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
event_keys = st.sampled_from(
    ["id", "source", "type", "time", "data", "data_base64", "specversion", "subject", "x", "x1"]
)


@PROFILE
@given(st.dictionaries(event_keys, json_trees, max_size=4), st.lists(event_keys, max_size=2),
       st.sampled_from([SINGLE, BATCH, PLAIN]), callers)  # fmt: skip
def test_events(door, changes, missing, media, caller):
    made = {name: value for name, value in {**event(), **changes}.items() if name not in missing}
    body = json.dumps([made] if media == BATCH else made).encode()
    taken(door[0].events, body, media, "", caller)


@PROFILE
@given(json_trees)
def test_otlp_as_json(door, tree):
    for body in (tree, {"resourceMetrics": tree}, {"resourceMetrics": [{"scopeMetrics": [{"metrics": [tree]}]}]}):
        taken(door[0].otlp_metrics, json.dumps(body).encode(), JSON, "", TOKEN)


@PROFILE
@given(st.text(alphabet="groups: []{}-\nrulesalertexprfor15m'\"&*!|>%@#\t", max_size=80) | json_trees.map(str))
def test_rule_files(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_text(f"groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: {text}\n", encoding="utf-8")
    for content in (None, text):
        if content is not None:
            path.write_text(content, encoding="utf-8")
        with contextlib.suppress(ConfigError):
            load_rules([path])


def test_grpc_says_what_is_wrong_and_goes_on(door):
    """Over a real channel: whatever bytes come, a code is the answer, and the next good call is taken."""
    chance = random.Random(11)
    whole = otlp_body()

    def use(port: int) -> list[grpc.StatusCode]:
        codes = []
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(EXPORT)
            for _ in range(60):
                body = bytearray(whole)
                for _ in range(chance.randrange(4)):
                    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
                try:
                    call(bytes(body), timeout=10)
                    codes.append(grpc.StatusCode.OK)
                except grpc.RpcError as error:
                    codes.append(error.code())
            call(whole, timeout=10)
        return codes

    codes = serve(door[0], use)
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert grpc.StatusCode.OK in codes


def test_every_row_that_was_taken_is_whole(door):
    for batches in door[1].batches:
        for batch in batches.values():
            assert isinstance(batch, pa.RecordBatch)
            batch.validate(full=True)
