"""The line parser of OpenMetrics against Prometheus' own client, and against anything else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from workbench.ingest.files.openmetrics import parse_sample

names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@given(
    names,
    st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=8), max_size=4),
    st.floats(),
    st.integers(0, 4_000_000_000),
)
def test_what_was_written_is_read(name, labels, value, seconds):
    inner = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
    line = f"{name}{{{inner}}} {value!r} {seconds}.25"
    got = parse_sample(line)
    assert not isinstance(got, str), got
    assert got[:3] == (name, labels, seconds * 1_000_000 + 250_000)
    assert got[3] == value or (math.isnan(got[3]) and math.isnan(value))


@given(st.text(st.sampled_from('abc{}=",\\ #1.\n\t'), max_size=40))
def test_any_text_is_read_or_refused(text):
    assert isinstance(parse_sample(text), (str, tuple))


@pytest.mark.timeout(30)  # what grows with the square of the line would take minutes
@pytest.mark.parametrize(
    "line",
    ["a{" * 20_000, 'a{x="' + "\\\\" * 50_000, "a" * 100_000 + "{", 'a{b="c"' * 5_000, "{" + '"a",' * 20_000],
    ids=["braces", "escapes", "name", "open", "names"],
)
def test_a_hostile_line_is_refused_at_once(line):
    assert isinstance(parse_sample(line), str)


def test_agrees_with_the_client_that_prometheus_ships():
    registry = CollectorRegistry()
    Counter("hits", "Hits.", ["path"], registry=registry).labels('/a"b\\c\n').inc(3)
    Gauge("depth", "Depth.", registry=registry).set(-2.5)
    Histogram("latency", "Latency.", registry=registry).observe(0.3)
    text = generate_latest(registry).decode()
    wanted = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    got = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, _, value = parse_sample(line + " 1700000000")
            got[name, tuple(sorted(labels.items()))] = value
    assert got == wanted
