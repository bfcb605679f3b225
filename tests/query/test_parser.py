"""The parser takes what Prometheus 3 takes, says where it does not, and survives everything else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.arrays import SECOND, ArrayView
from tests.query.grammar import EXPRESSIONS, JUNK
from workbench import config
from workbench.errors import QuerySyntaxError
from workbench.query import parse, range_query
from workbench.query.promql import FUNCTIONS, MAX_DEPTH, MAX_LENGTH, nodes
from workbench.query.promql.lexer import AGGREGATORS


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_what_is_printed_parses_to_the_same_tree(text):
    node = parse(text)
    again = parse(str(node))
    assert again == node
    assert str(again) == str(node)


@settings(max_examples=300, deadline=None)
@given(JUNK)
def test_nothing_but_a_syntax_error_comes_out(text):
    position = 0
    try:
        parse(text)
    except QuerySyntaxError as error:
        position = error.position
    assert 0 <= position <= len(text)


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, st.data())
def test_cut_and_changed_expressions_are_refused_or_taken_but_never_break(text, data):
    place = data.draw(st.integers(0, len(text)))
    changed = (
        text[:place]
        + data.draw(st.sampled_from(["", "(", ")", "[", "}", '"', "@", "offset", "\ud800", "\x00"]))
        + text[place + 1 :]
    )
    with contextlib.suppress(QuerySyntaxError):
        parse(changed)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000, "-" * 99_999 + "x", "(" * 40_000 + "x" + ")" * 40_000, "1" + "+1" * 49_000, "x[" + "(" * 50_000,
        "sum(" * 20_000, "x[" + "-" * 90_000, "1" + "^1" * 40_000, "x offset " + "-" * 5_000 + "5m",
        "x" + "[5m:]" * 1_000,
        "x[1" + "+1" * 40_000 + "]", "{" * 90_000, "a" * (MAX_LENGTH + 1), "x or " * 20_000 + "x",
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_deep_and_long_input_is_refused(text):
    with pytest.raises(QuerySyntaxError):
        parse(text)


@pytest.mark.parametrize("opening", ["(", "-(", "sum(", "abs(", "topk(1, ", "1 + (", "rate((", "label_replace("])
def test_what_is_within_the_depth_limit_can_be_walked(opening):
    closing = {"rate((": ")[5m:])", "label_replace(": ", 'a', 'b', 'c', 'd')"}.get(opening, ")")
    levels = (MAX_DEPTH - 2) // {"-(": 2, "1 + (": 3, "rate((": 2}.get(opening, 1)
    view = ArrayView()
    view.metric("x", {}, [0], [1])
    for text in (opening * levels + "x" + closing * levels, "x" + " + x" * (MAX_DEPTH - 2)):
        node = parse(text)
        assert parse(str(node)) == node
        range_query(view, node, 0, SECOND, SECOND, limits=config.Query(max_samples=10**15))


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "no expression found"),
        ("sum(x", 5, "unclosed left parenthesis"),
        ("foo bar", 4, "unexpected identifier 'bar'"),
        ("rate(x)", 5, "expected type range vector in call to function 'rate', got instant vector"),
        ("rat(x[5m])", 0, "Did you mean 'rate'?"),
        ('{a=""}', 0, "at least one non-empty matcher"),
        ('x{a=~"("}', 5, "missing )"),
        ('x{a=~"a)|(b"}', 5, "error parsing regexp"),
        ("1 == 1", 2, "BOOL"),
        ("x[5q]", 2, "bad number or duration syntax: '5q'"),
        ("x[5s1h]", 2, "not a valid duration"),
        ("x[0]", 2, "greater than 0"),
        ("x offset", 8, "expected number or duration"),
        ("x @ y", 4, "unexpected identifier 'y' in @"),
        ("a + on(b) group_left(b) c", 2, "must not occur in ON and GROUP clause"),
        ('"\\q"', 1, "unknown escape sequence"),
        ("'abc", 0, "unterminated quoted string"),
        ("sum by (5) (x)", 8, "expected label"),
        ("topk(x)", 0, "wrong number of arguments"),
        ("x{__name__='y'}", 2, "metric name must not be set twice"),
        ("sum(x) by (a", 12, "unclosed"),
        ("x smoothed anchored", 11, "cannot be used together"),
    ],
)  # fmt: skip
def test_errors_say_what_and_where(text, position, words):
    with pytest.raises(QuerySyntaxError) as refused:
        parse(text)
    assert words in str(refused.value)
    assert refused.value.position == position
    assert f"character {position + 1}" in str(refused.value)


def test_every_node_knows_its_characters():
    text = ' sum by (x) (rate(m{a="b"}[5m] offset 1m)) > 2 # comment'
    node = parse(text)
    found = [text[slice(*part.span)] for part in (node, node.left, node.left.expr, node.left.expr.args[0], node.right)]
    assert found == [
        'sum by (x) (rate(m{a="b"}[5m] offset 1m)) > 2',
        'sum by (x) (rate(m{a="b"}[5m] offset 1m))',
        'rate(m{a="b"}[5m] offset 1m)',
        'm{a="b"}[5m] offset 1m',
        "2",
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("-1 ^ 2", "-(1 ^ 2)"), ("2 ^ 3 ^ 2", "2 ^ (3 ^ 2)"), ("a - b - c", "(a - b) - c"), ("-a * b", "(-a) * b"),
        ("a or b and c", "a or (b and c)"), ("a + b * c == d", "(a + (b * c)) == d"), ("2 ^ -1 * 3", "(2 ^ -1) * 3"),
    ],
)  # fmt: skip
def test_precedence(text, same):
    def bare(node):
        match node:
            case nodes.Paren():
                return bare(node.expr)
            case nodes.Binary():
                return (node.operator, bare(node.left), bare(node.right))
            case nodes.Unary():
                return (node.operator, bare(node.expr))
        return node

    assert bare(parse(text)) == bare(parse(same))


def test_the_newest_parts_of_the_language_parse():
    assert parse('{"http.status", "my label"!="x"}').name == "http.status"
    assert parse("x[5m]").duration.us == 300_000_000
    assert parse("x[300]").duration.us == 300_000_000
    assert parse("x[1y2w3d4h5m6s7ms]").duration.us == parse("x[33019506.007]").duration.us
    assert parse("1h30m").value == 5400
    assert parse("x anchored").extension == "anchored"
    assert parse("rate(x[5m] smoothed)").args[0].selector.extension == "smoothed"
    assert parse("a + on (b) fill_left (0) c").matching.fill_left == 0
    assert parse('"\\x41\\u00e9\\101\\n"').value == "AéA\n"
    assert parse("fill + fill_left").left.name == "fill"
    assert parse('sum by ("a.b") (x)').labels == ("a.b",)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_parses_with_its_arguments(name):
    samples = {"scalar": "1", "vector": "x", "matrix": "x[5m]", "string": '"s"'}
    function = FUNCTIONS[name]
    args = [samples[kind] for kind in function.args]
    if name == "info":
        args[1] = '{a="b"}'
    node = parse(f"{name}({', '.join(args)})")
    assert node.type == function.returns
    with pytest.raises(QuerySyntaxError):
        parse(f"{name}({', '.join([*args, *['(x or x)[5m:]'] * 20])})")


@pytest.mark.parametrize("name", AGGREGATORS)
def test_aggregators_are_metric_names_too(name):
    assert parse(name).name == name
    assert parse(f"{name} + 1").left.name == name
