"""The protobuf format: the same samples as text, native histograms, and bytes that are neither."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingest.scrape.conftest import Answer, Exposer, WriterSink
from workbench.errors import InputError
from workbench.ingest import Scraper
from workbench.ingest.scrape.exposition import Families, read_series
from workbench.ingest.scrape.protobuf import MetricFamily, read_protobuf
from workbench.query import instant

MEDIA = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def body(*families) -> bytes:
    parts = [family.SerializeToString() for family in families]
    return b"".join(varint(len(part)) + part for part in parts)


def read(data: bytes, *, native: bool = True, classic: bool = False) -> dict[str, object]:
    """Series as text -> its value, or its native histogram."""
    found = {}
    for sample in read_protobuf(data, Families(), native=native, classic=classic):
        labels = read_series(sample.series)
        name = labels.pop("__name__")
        found[name + "".join(f"{{{k}={v}}}" for k, v in labels.items())] = sample.histogram or sample.value
    return found


def counter(name: str = "jobs_total") -> object:
    family = MetricFamily(name=name, help="Jobs.", type=0, unit="jobs")
    metric = family.metric.add()
    metric.label.add(name="kind", value='a"\\\n')
    metric.counter.value = 17
    metric.counter.created.seconds = 1_600_000_000
    metric.counter.exemplar.value = 0.5
    metric.counter.exemplar.label.add(name="trace_id", value="t")
    return family


def histogram() -> object:
    """One of each: 1 below 0.5, 2 up to infinity; as native buckets of schema 0 beside."""
    family = MetricFamily(name="request_seconds", type=4)
    one = family.metric.add().histogram
    one.sample_count, one.sample_sum = 3, 4.5
    one.bucket.add(cumulative_count=1, upper_bound=0.5)
    one.schema, one.zero_threshold, one.zero_count = 0, 0.001, 1
    one.positive_span.add(offset=0, length=2)
    one.positive_delta.extend([1, 0])
    return family


def test_each_type_becomes_the_samples_of_the_text_format():
    gauge = MetricFamily(name="temperature", type=1)
    gauge.metric.add(timestamp_ms=1500).gauge.value = -2.5
    summary = MetricFamily(name="latency", type=2)
    one = summary.metric.add().summary
    one.sample_count, one.sample_sum = 4, 2.5
    one.quantile.add(quantile=0.9, value=1.25)
    untyped = MetricFamily(name="odd.name", type=3)
    untyped.metric.add().untyped.value = 8
    assert read(body(counter(), gauge, summary, untyped, histogram()), native=False) == {
        'jobs_total{kind=a"\\\n}': 17,
        "temperature": -2.5,
        "latency{quantile=0.9}": 1.25, "latency_sum": 2.5, "latency_count": 4,
        "odd.name": 8,
        "request_seconds_bucket{le=0.5}": 1, "request_seconds_bucket{le=+Inf}": 3,
        "request_seconds_sum": 4.5, "request_seconds_count": 3,
    }  # fmt: skip
    families = Families()
    (sample,) = read_protobuf(body(counter()), families, native=False, classic=False)
    assert (sample.start_us, sample.exemplar["trace_id"]) == (16 * 10**14, "t")
    assert (families.type, families.unit) == ({"jobs_total": "counter"}, {"jobs_total": "jobs"})


def test_a_native_histogram_goes_before_its_classic_buckets():
    found = read(body(histogram()))
    assert list(found) == ["request_seconds"]
    value = found["request_seconds"]
    assert (value["count"], value["zero_count"], value["positive_counts"]) == (3, 1, [1, 1])
    assert len(read(body(histogram()), classic=True)) == 5


@given(st.binary(max_size=60) | st.tuples(st.integers(0, 200), st.integers(0, 255)))
def test_any_bytes_are_read_or_refused(found):
    whole = bytearray(body(counter(), histogram()))
    if isinstance(found, tuple):
        whole[found[0] % len(whole)] = found[1]
        found = bytes(whole)
    try:
        for sample in read_protobuf(found, Families(), native=True, classic=True):
            read_series(sample.series)
    except InputError:
        pass


def test_what_is_cut_off_is_refused():
    whole = body(counter())
    for end in (1, 5, len(whole) - 1):
        with pytest.raises(InputError):
            read(whole[:end])


def test_native_histograms_are_asked_for_kept_and_marked_when_they_go(sink: WriterSink, exposer: Exposer, tmp_path):
    exposer.answers["/metrics"] = Answer(body(counter(), histogram()), MEDIA)
    file = tmp_path / "scrape.yml"
    file.write_text(
        "scrape_configs: [{job_name: n, scrape_interval: 1s, scrape_native_histograms: true,"
        f" static_configs: [{{targets: ['{exposer.address}']}}]}}]"
    )

    def ask(expr: str) -> list[float]:
        result = instant(sink.writer.view, expr, time.time_ns() // 1000)
        return result.values[result.present].tolist()

    async def until(expr: str, wanted: list[float]) -> None:
        for _ in range(300):
            if ask(expr) == wanted:
                return
            await asyncio.sleep(0.05)  # the target has its own grid in time
        pytest.fail(f"{expr} is {ask(expr)}, not {wanted}")

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(Scraper(file, sink).run(stop))
        await until("histogram_count(request_seconds)", [3.0])
        assert ask("histogram_sum(request_seconds)") == [4.5]
        assert ask("jobs_total") == [17.0]
        exposer.answers["/metrics"].body = body(counter())
        await until("histogram_count(request_seconds)", [])
        stop.set()
        await running

    asyncio.run(run())
    assert "application/vnd.google.protobuf" in exposer.asked[0][1]["accept"].partition(",")[0]
