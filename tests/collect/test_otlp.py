"""What is encoded says what was observed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from tests.collect.receiver import points
from workbench.collect import Instrument, Observation, encode

pairs = st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)
instruments = st.builds(
    Instrument,
    name=st.sampled_from(["a.b", "c.d", "e"]),
    unit=st.sampled_from(["s", "By"]),
    kind=st.sampled_from(["counter", "updowncounter", "gauge"]),
    description=st.just(""),
).map(lambda i: Instrument(f"{i.name}.{i.kind}.{i.unit}", i.unit, i.kind, ""))
values = st.floats(allow_nan=False) | st.integers(-(2**62), 2**62)
observations = st.builds(
    Observation,
    pairs,
    st.integers(0, 2**62),
    st.integers(0, 2**62),
    st.lists(st.tuples(instruments, pairs, values), max_size=6),
)


@given(st.lists(observations, max_size=4), st.lists(observations, max_size=4))
def test_bodies_hold_every_point_and_can_be_joined(first, second):
    (body, count), (other_body, other_count) = encode(first), encode(second)
    expected = sorted(
        (str(dict(one.resource)), instrument.name, instrument.unit, str(dict(pairs)), value, one.time_ns)
        for one in [*first, *second]
        for instrument, pairs, value in one.points
    )
    found = points([ExportMetricsServiceRequest.FromString(body + other_body)])
    assert sorted((str(r), name, unit, str(a), value, time) for r, name, unit, a, value, time in found) == expected
    assert count + other_count == len(expected)


def test_sums_are_cumulative_and_say_since_when():
    counter, level = Instrument("c", "s", "counter", "seconds"), Instrument("u", "By", "updowncounter", "")
    gauge = Instrument("g", "1", "gauge", "")
    body, _ = encode(
        [
            Observation(
                (("service.name", "x"),),
                5,
                9,
                [(counter, (), 1.5), (counter, (("k", "v"),), 2), (level, (), 3), (gauge, (), 4)],
            )
        ]
    )
    (block,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    c, u, g = block.scope_metrics[0].metrics
    assert (c.name, c.unit, c.description, len(c.sum.data_points)) == ("c", "s", "seconds", 2)
    assert c.sum.is_monotonic
    assert not u.sum.is_monotonic
    assert c.sum.aggregation_temporality == u.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert [point.start_time_unix_nano for metric in (c.sum, u.sum, g.gauge) for point in metric.data_points] == [
        5,
        5,
        5,
        0,
    ]
