"""Lines of both text formats, and that none of them can do harm."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.ingest.scrape.exposition import Families, read_openmetrics, read_series, read_text

VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True)


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@given(NAMES, st.dictionaries(NAMES, VALUES, max_size=4), st.floats(), st.integers(-(10**12), 10**12))
def test_what_is_written_is_read(name, labels, value, time_ms):
    inner = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
    for reader, time, end in ((read_text, str(time_ms), ""), (read_openmetrics, str(time_ms / 1000), "# EOF\n")):
        (sample,) = reader(f"{name}{{{inner}}} {value!r} {time}\n{end}", Families())
        assert read_series(sample.series) == {"__name__": name, **labels}
        assert sample.value == value or math.isnan(value)
        assert sample.time_us == time_ms * 1000


@given(st.text(st.sampled_from('ab{}"\\=, #\n\t1.e+'), max_size=60) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    for reader in (read_text, read_openmetrics):
        try:
            for sample in reader(text, Families()):
                read_series(sample.series)
        except InputError:
            pass


@pytest.mark.parametrize(
    ("line", "labels", "value", "time_us"),
    [
        ("up 1", {"__name__": "up"}, 1.0, 0),
        ("  up \t 1e3  ", {"__name__": "up"}, 1000.0, 0),
        ('up{a="b",} +Inf -5', {"__name__": "up", "a": "b"}, math.inf, -5000),
        ('up { a = "b" , c="d}" } 0x10' , None, 0, 0),
        ('{"my.name", "http.status"="200"} 3', {"__name__": "my.name", "http.status": "200"}, 3.0, 0),
        ('{"quoted only"} 3', {"__name__": "quoted only"}, 3.0, 0),
        ('a:b{x="# } {"} 2 1700000000000', {"__name__": "a:b", "x": "# } {"}, 2.0, 17 * 10**14),
    ],
)  # fmt: skip
def test_lines_of_the_text_format(line, labels, value, time_us):
    if labels is None:
        with pytest.raises(InputError, match="no number"):
            list(read_text(line, Families()))
        return
    (sample,) = read_text(line + "\n", Families())
    assert (read_series(sample.series), sample.value, sample.time_us) == (labels, value, time_us)


@pytest.mark.parametrize("bad", ["up", "up 1 2 3", "up{a} 1", 'up{a="b"', 'up{a="b} 1', "1up 1", "up 1_000", "up one"])
def test_a_bad_line_is_named(bad):
    with pytest.raises(InputError) as caught:
        [read_series(sample.series) for sample in read_text(f"fine 1\n{bad}\n", Families())]
    assert caught.value.where == "line 2" or bad.partition(" ")[0][:4] in caught.value.message


def test_openmetrics_says_types_units_exemplars_and_its_end():
    body = (
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds Line\\nbreak.\n"
        'a_seconds_total{x="y"} 1.5 1600000000.123 # {trace_id="t",span_id="s",k="v"} 0.5 1600000000\n'
        'a_seconds_created{x="y"} 1500000000\n# EOF\n'
    )
    families = Families()
    first, second = read_openmetrics(body, families)
    assert first.time_us == 1_600_000_000_123_000
    assert first.exemplar == {
        "time": 16 * 10**14, "value": 0.5, "trace_id": "t", "span_id": "s", "attributes": [("k", "v")],
    }  # fmt: skip
    assert {families.of(read_series(one.series)["__name__"]) for one in (first, second)} == {"a_seconds"}
    assert (families.type["a_seconds"], families.unit["a_seconds"]) == ("counter", "seconds")
    assert families.help["a_seconds"] == "Line\nbreak."
    for cut in (body.replace("# EOF\n", ""), body + "more 1\n"):
        with pytest.raises(InputError, match="EOF"):
            list(read_openmetrics(cut, Families()))


def test_known_series_are_read_the_same():
    body = 'a{x="1 2"} 5\na{x="1 2"} 5 1000\nb NaN\n'
    fresh = list(read_text(body, Families()))
    again = list(read_text(body, Families(), {one.series for one in fresh}))
    assert [(one.series, one.time_us) for one in again] == [(one.series, one.time_us) for one in fresh]
