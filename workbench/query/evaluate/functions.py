"""Functions of instant vectors and scalars."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from workbench.errors import QueryError
from workbench.query.evaluate.buckets import histogram_quantile
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.values import Scalar, Vector, unique
from workbench.query.names import Labels
from workbench.query.promql.nodes import Call, Node, Paren, Range, Selector

Argument = Scalar | Vector | str

_ELEMENTWISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs, "ceil": np.ceil, "floor": np.floor, "exp": np.exp, "ln": np.log, "log2": np.log2, "log10": np.log10,
    "sqrt": np.sqrt, "sgn": np.sign, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "deg": np.degrees, "rad": np.radians,
}  # fmt: skip
_ORDERED = {"sort": False, "sort_desc": True}
_LAST_DATE_SECONDS = 1e15  # some 30 million years; beyond, dates are NaN
_DATES = ("year", "month", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute")

VECTOR_FUNCTIONS = frozenset(_ELEMENTWISE) | frozenset(_ORDERED) | frozenset(_DATES) | {
    "absent", "clamp", "clamp_max", "clamp_min", "histogram_quantile", "label_join", "label_replace", "pi", "round",
    "scalar", "time", "timestamp", "vector",
}  # fmt: skip
"""Functions of instant vectors and scalars that are evaluated."""


def call(context: Context, node: Call, args: Sequence[Argument]) -> Scalar | Vector:
    """A function of evaluated arguments. Raises NotEvaluated for one that is not there yet."""
    name = node.function
    steps = len(context.times_us)
    if name not in VECTOR_FUNCTIONS:
        raise not_evaluated(f"{name}()", node)
    if name == "pi":
        return Scalar(np.full(steps, np.pi))
    if name == "time":
        return Scalar(context.times_us / 1e6)
    if name in _DATES:
        return _date(name, context, args)
    if name == "histogram_quantile":
        quantiles, histograms = args
        assert isinstance(quantiles, Scalar)
        assert isinstance(histograms, Vector)
        return histogram_quantile(histograms, quantiles.values)
    first = args[0]
    if isinstance(first, Scalar):  # vector() alone takes a scalar first
        return Vector([()], first.values[None, :], np.ones((1, steps), bool))
    assert isinstance(first, Vector)
    if name in _ELEMENTWISE:
        with np.errstate(all="ignore"):
            return first.with_values(_ELEMENTWISE[name](first.values)).without_name()
    if name == "scalar":
        return _scalar(first)
    if name == "absent":
        return absent(node.args[0], first.present)
    if name == "timestamp":
        return first.with_values(np.broadcast_to(context.times_us / 1e6, first.values.shape)).without_name()
    if name in _ORDERED:
        return _sorted(first, descending=_ORDERED[name])
    if name in ("label_replace", "label_join"):
        texts = [arg for arg in args[1:] if isinstance(arg, str)]
        if not texts[0]:
            raise QueryError(f"invalid destination label name in {name}(): it is empty")
        return _label_replace(first, *texts) if name == "label_replace" else _label_join(first, *texts)
    return _bounded(name, first, [arg.values for arg in args[1:] if isinstance(arg, Scalar)])


def absent(node: Node, present: np.ndarray) -> Vector:
    """1 at the steps at which nothing is there, under the labels that the selector's equalities give."""
    while isinstance(node, Paren):
        node = node.expr
    selector = node.selector if isinstance(node, Range) else node
    labels: dict[str, str] = {}
    if isinstance(selector, Selector):
        names = [matcher.label for matcher in selector.matchers]
        labels = {
            matcher.label: matcher.value
            for matcher in selector.matchers
            if matcher.operator == "=" and matcher.label != "__name__" and names.count(matcher.label) == 1
        }
    missing = ~np.any(present, axis=0, keepdims=True)
    return Vector([tuple(sorted(labels.items()))], np.ones(missing.shape), missing)


def _scalar(vector: Vector) -> Scalar:
    alone = vector.present.sum(axis=0) == 1
    values = np.where(vector.present, vector.values, 0.0).sum(axis=0)
    return Scalar(np.where(alone, values, np.nan))


def _sorted(vector: Vector, *, descending: bool) -> Vector:
    if vector.present.shape[1] != 1:
        return vector  # a range query orders by labels
    column = vector.values[:, 0]
    order = np.lexsort((-column if descending else column, np.isnan(column)))
    return vector.take(order)


def _bounded(name: str, vector: Vector, limits: Sequence[np.ndarray]) -> Vector:
    values, present = vector.values, vector.present
    with np.errstate(all="ignore"):
        if name == "round":
            nearest = limits[0] if limits else np.ones(values.shape[1])
            # Prometheus multiplies by the inverse, so that round(x, 0.1) gives 0.3 and not 0.30000000000000004.
            out = np.floor(values * (1.0 / nearest) + 0.5) / (1.0 / nearest)
        elif name == "clamp":
            low, high = limits
            present = present & ~(low > high)
            out = _higher(low, _lower(high, values))
        else:
            out = (_lower if name == "clamp_max" else _higher)(values, limits[0])
    return vector.with_values(out, present).without_name()


def _lower(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The lower of two, NaN if either is, but that nothing is lower than -Inf (Go's `math.Min`)."""
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, np.minimum(a, b))


def _higher(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def _label_replace(vector: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    values = [dict(labels).get(source, "") for labels in vector.labels]
    distinct = sorted(set(values))
    replaced = dict(zip(distinct, _expand(distinct, pattern, replacement), strict=True))
    labels = [
        found if replaced[value] is None else _with_label(found, target, replaced[value] or "")
        for found, value in zip(vector.labels, values, strict=True)
    ]
    changed = np.array([replaced[value] is not None for value in values], bool)
    return unique(_relabelled(vector, labels, target, changed))


def _relabelled(vector: Vector, labels: Sequence[Labels], target: str, changed: np.ndarray) -> Vector:
    """Under other labels; a name that was set anew stays."""
    unnamed = vector.unnamed
    if target == "__name__" and unnamed is not None:
        unnamed = unnamed & ~changed
    return replace(vector, labels=labels, unnamed=unnamed)


def _expand(values: list[str], pattern: str, replacement: str) -> list[str | None]:
    """What the replacement (`$1`, `${name}`) becomes for each value; None where the pattern does not match."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Arrow's RE2 writes groups as \1; names are turned to numbers by their order of opening.
    names = {name: number for number, name in _group_names(pattern)}

    def reference(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        if match.group() == "\\":
            return "\\\\"
        group = match.group(1) or match.group(2)
        number = group if group.isdigit() else str(names.get(group, ""))
        return f"\\{number}" if number and int(number) <= min(9, _groups(pattern)) else ""

    rewritten = re.sub(r"\$\$|\\|\$\{(\w+)\}|\$(\w+)", reference, replacement)
    anchored = f"^(?s:{pattern})$"
    array = pa.array(values, pa.string())
    try:
        hits = pc.match_substring_regex(array, anchored).to_pylist()
        texts = pc.replace_substring_regex(array, anchored, rewritten, max_replacements=1).to_pylist()
    except pa.ArrowInvalid as error:
        raise QueryError(f"invalid regular expression in label_replace(): {pattern!r}", hint=str(error)) from None
    return [text if hit else None for hit, text in zip(hits, texts, strict=True)]


def _group_names(pattern: str) -> list[tuple[int, str]]:
    opened = re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?)|\(\?P?<(\w+)>", pattern)
    groups = [match for match in opened if match.group().startswith("(")]
    return [(number, match.group(1) or "") for number, match in enumerate(groups, 1)]


def _groups(pattern: str) -> int:
    return len(_group_names(pattern))


def _label_join(vector: Vector, target: str, separator: str, *sources: str) -> Vector:
    labels = []
    for found in vector.labels:
        given = dict(found)
        labels.append(_with_label(found, target, separator.join(given.get(source, "") for source in sources)))
    return unique(_relabelled(vector, labels, target, np.ones(len(labels), bool)))


def _with_label(labels: Labels, name: str, value: str) -> Labels:
    kept = [pair for pair in labels if pair[0] != name]
    return tuple(sorted([*kept, (name, value)] if value else kept))


def _date(name: str, context: Context, args: Sequence[Argument]) -> Vector:
    if args:
        assert isinstance(args[0], Vector)
        vector = args[0]
    else:
        vector = Vector([()], context.times_us[None, :] / 1e6, np.ones((1, len(context.times_us)), bool))
    valid = vector.present & (np.abs(vector.values) < _LAST_DATE_SECONDS)
    whole = np.where(valid, vector.values, 0.0).astype(np.int64)
    moment = whole.astype("datetime64[s]")
    day, month, year = (moment.astype(f"datetime64[{unit}]") for unit in "DMY")
    parts: dict[str, Callable[[], np.ndarray]] = {
        "year": lambda: year.astype(np.int64) + 1970,
        "month": lambda: month.astype(np.int64) % 12 + 1,
        "day_of_month": lambda: (day - month).astype(np.int64) + 1,
        "day_of_week": lambda: (day.astype(np.int64) + 4) % 7,
        "day_of_year": lambda: (day - year).astype(np.int64) + 1,
        "days_in_month": lambda: ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64),
        "hour": lambda: whole // 3600 % 24,
        "minute": lambda: whole // 60 % 60,
    }
    return vector.with_values(np.where(valid, parts[name](), np.nan)).without_name()
