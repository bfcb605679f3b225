"""Templates of rules: what Prometheus' documentation shows comes out, and nothing else than a told fault can happen."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.alert.templates import FUNCTIONS, compile_template
from workbench.errors import InputError

KNOWN = [
    ("{{ $value }}", 1.5, "1.5"),
    ("{{ .Value }}", 3.0, "3"),
    ("{{$labels.host}}: {{ .Labels.host }}", 0, "a: a"),
    ("{{ $labels.nothing }}", 0, ""),
    ("{{ $value | humanize }}", 1234567.0, "1.235M"),
    ("{{ humanize $value }}", 0.0001234, "123.4u"),
    ("{{ $value | humanize1024 }}", 1048576.0, "1Mi"),
    ("{{ $value | humanizeDuration }}", 3661.0, "1h 1m 1s"),
    ("{{ $value | humanizePercentage }}", 0.957, "95.7%"),
    # Prometheus' own tests of these functions (template/template_test.go).
    *[("{{ $value | humanize }}", value, text) for value, text in [(0.0, "0"), (1.0, "1"), (0.12, "120m")]],
    *[("{{ $value | humanize1024 }}", value, text) for value, text in [(0.0, "0"), (1.0, "1"), (0.12, "0.12")]],
    *[
        ("{{ $value | humanizeDuration }}", value, text)
        for value, text in [
            (0.0, "0s"),
            (1.0, "1s"),
            (60.0, "1m 0s"),
            (3600.0, "1h 0m 0s"),
            (86400.0, "1d 0h 0m 0s"),
            (-183845.0, "-2d 3h 4m 5s"),
            (899.99, "14m 59s"),
            (0.1, "100ms"),
            (0.0001, "100us"),
            (0.12345, "123.5ms"),
            (60.5, "1m 0s"),
            (1.2345, "1.234s"),
            (12.345, "12.35s"),
        ]
    ],
    ("{{ $value | humanizePercentage }}", -0.22222, "-22.22%"),
    ("{{ $value | humanizeTimestamp }}", 1435065584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
    ("{{ $value | humanizeTimestamp }}", 1420070400.0, "2015-01-01 00:00:00 +0000 UTC"),
    ('{{ $value | printf "%.2f" }}', 2.0, "2.00"),
    ('{{ printf "%s is at %.1f" $labels.host $value }}', 2.25, "a is at 2.2"),
    ("{{ toUpper $labels.host }}", 0, "A"),
    ("no action at all }}", 0, "no action at all }}"),
    ("{{/* a comment */}}x", 0, "x"),
]


@pytest.mark.parametrize(("source", "value", "expected"), KNOWN, ids=[f"{row[0]}-{row[1]}" for row in KNOWN])
def test_known_templates(source: str, value: float, expected: str):
    assert compile_template(source).render({"host": "a"}, value) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ if $value }}",
        "{{ range query }}",
        "{{ $valu }}",
        "{{ nothing $value }}",
        "{{ $value",
        "{{ }}",
        "{{ ) }}",
        '{{ "\\d" }}',
        '{{ "a\nb" }}',
        "{{ " + "(" * 5000 + " }}",
    ],
    ids=lambda source: source[:20],
)
def test_what_is_not_understood_is_refused_when_the_file_loads(source: str):
    with pytest.raises(InputError):
        compile_template(source)


TOKENS = ["(", ")", "|", "$value", ".Value", "$labels.host", "$labels.", "1e999", "-1", '"a"', '"\\x"', '"%d"', "`%s`"]
TOKENS += ['"%9999999999f"', '"%.2f%%"', '"%"', "if", "{{", "}}", "-", "$", ".", '"', *FUNCTIONS, "nothing"]


@given(st.lists(st.sampled_from(TOKENS), max_size=12), st.floats(), st.text(max_size=5))
def test_any_expression_renders_or_is_refused(tokens: list[str], value: float, label: str):
    with contextlib.suppress(InputError):
        assert isinstance(compile_template("{{ " + " ".join(tokens) + " }}").render({"host": label}, value), str)


@given(st.text(max_size=60), st.floats())
def test_any_text_renders_or_is_refused(source: str, value: float):
    with contextlib.suppress(InputError):
        assert isinstance(compile_template(source).render({"host": "a"}, value), str)


NUMBERS = ("humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp")


@given(st.sampled_from(NUMBERS), st.floats())
def test_every_number_has_words(function: str, value: float):
    assert compile_template(f"{{{{ $value | {function} }}}}").render({}, value)


@given(st.text(max_size=40))
def test_a_label_comes_out_as_it_is(text: str):
    assert compile_template("<{{ $labels.x }}>").render({"x": text}, 0) == f"<{text}>"
