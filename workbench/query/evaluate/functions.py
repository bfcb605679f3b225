"""Functions of instant vectors and scalars."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.query.evaluate import labels
from workbench.query.evaluate.context import Context, not_evaluated
from workbench.query.evaluate.values import Scalar, Vector, empty
from workbench.query.promql.nodes import Call

Argument = Scalar | Vector | str

_ELEMENTWISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs, "ceil": np.ceil, "floor": np.floor, "exp": np.exp, "ln": np.log, "log2": np.log2, "log10": np.log10,
    "sqrt": np.sqrt, "sgn": np.sign, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "deg": np.degrees, "rad": np.radians,
}  # fmt: skip
_LAST_DATE_SECONDS = 1e15  # some 30 million years; beyond, dates are NaN
_DATES = ("year", "month", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute")

_OF_QUERY = ("start", "end", "range", "step")
_SORTS = ("sort", "sort_desc", "sort_by_label", "sort_by_label_desc")

HISTOGRAM_FUNCTIONS = frozenset((
    "histogram_avg", "histogram_count", "histogram_fraction", "histogram_quantile", "histogram_quantiles",
    "histogram_stddev", "histogram_stdvar", "histogram_sum",
))  # fmt: skip
"""Functions of vectors that ask for histograms, native or classic."""

_NAMED = frozenset((
    "absent", "clamp", "clamp_max", "clamp_min", "info", "label_join", "label_replace", "max_of", "min_of", "pi",
    "round", "scalar", "start_timestamp", "time", "timestamp", "vector",
))  # fmt: skip
VECTOR_FUNCTIONS = HISTOGRAM_FUNCTIONS.union(_ELEMENTWISE, _DATES, _OF_QUERY, _SORTS, _NAMED)
"""Functions of instant vectors and scalars that are evaluated."""


def call(context: Context, node: Call, args: Sequence[Argument]) -> Scalar | Vector:
    """A function of evaluated arguments. Raises NotEvaluated for one that is not there yet."""
    name = node.function
    if name not in VECTOR_FUNCTIONS:
        raise not_evaluated(f"{name}()", node)
    if name in _DATES:
        return _date(name, context, args)
    if name in HISTOGRAM_FUNCTIONS:
        from workbench.query.evaluate.native import measures

        return measures.call(context, node, args)
    if all(isinstance(arg, Scalar) for arg in args):
        return _of_scalars(context, name, [arg.values for arg in args if isinstance(arg, Scalar)])
    first = args[0]
    assert isinstance(first, Vector)
    if name in _ELEMENTWISE:
        with np.errstate(all="ignore"):
            return first.with_values(_ELEMENTWISE[name](first.values)).without_name()
    texts = [arg for arg in args[1:] if isinstance(arg, str)]
    if name in _SORTS:
        return labels.ordered(context, node, first, texts)
    if name == "label_replace":
        return labels.label_replace(first, *texts)
    if name == "label_join":
        return labels.label_join(first, *texts)
    if name == "scalar":
        return _scalar(first)
    if name == "absent":
        return labels.absent(node.args[0], first.there)
    if name == "timestamp":
        times = np.broadcast_to(context.times_us / 1e6, first.values.shape)
        return first.with_values(times, first.there).without_name()
    if name == "start_timestamp":  # that of an expression: there is none
        return empty(len(context.times_us))
    return _bounded(name, first, [arg.values for arg in args[1:] if isinstance(arg, Scalar)])


def _of_scalars(context: Context, name: str, values: Sequence[np.ndarray]) -> Scalar | Vector:
    steps = len(context.times_us)
    if name == "vector":
        return Vector([()], values[0][None, :], np.ones((1, steps), bool))
    if name in ("max_of", "min_of"):
        return Scalar((_higher if name == "max_of" else _lower)(*values))
    if name == "time":
        return Scalar(context.times_us / 1e6)
    start, end = context.edges_us
    of_query = {"start": start / 1e6, "end": end / 1e6, "range": (end - start) / 1e6, "step": context.step_us / 1e6}
    return Scalar(np.full(steps, np.pi if name == "pi" else of_query[name]))


def _scalar(vector: Vector) -> Scalar:
    alone = vector.present.sum(axis=0) == 1
    values = np.where(vector.present, vector.values, 0.0).sum(axis=0)
    return Scalar(np.where(alone, values, np.nan))


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
