"""Every function of Prometheus 3 with the types of its arguments and result."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.query.promql.nodes import MATRIX, SCALAR, STRING, VECTOR


@dataclass(frozen=True)
class Function:
    """`args` are types; the last may be left out or repeated as `variadic` says (0 fixed, n at most n, -1 any)."""

    name: str
    args: tuple[str, ...]
    returns: str = VECTOR
    variadic: int = 0


_OVER_TIME = (
    "absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv", "first_over_time",
    "idelta", "increase", "irate", "last_over_time", "mad_over_time", "max_over_time", "min_over_time",
    "present_over_time", "rate", "resets", "stddev_over_time", "stdvar_over_time", "sum_over_time",
    "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time",
)  # fmt: skip
_OF_VECTOR = (
    "abs", "absent", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp",
    "floor", "histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum", "ln",
    "log10", "log2", "rad", "sgn", "sin", "sinh", "sort", "sort_desc", "sqrt", "start_timestamp", "tan",
    "tanh", "timestamp",
)  # fmt: skip
_OF_TIME = (
    "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year",
)  # fmt: skip

FUNCTIONS = {
    function.name: function
    for function in (
        *(Function(name, (MATRIX,)) for name in _OVER_TIME),
        *(Function(name, (VECTOR,)) for name in _OF_VECTOR),
        *(Function(name, (VECTOR,), variadic=1) for name in _OF_TIME),
        *(Function(name, (), SCALAR) for name in ("pi", "time", "start", "end", "range", "step")),
        Function("clamp", (VECTOR, SCALAR, SCALAR)),
        Function("clamp_max", (VECTOR, SCALAR)),
        Function("clamp_min", (VECTOR, SCALAR)),
        Function("double_exponential_smoothing", (MATRIX, SCALAR, SCALAR)),
        Function("histogram_fraction", (SCALAR, SCALAR, VECTOR)),
        Function("histogram_quantile", (SCALAR, VECTOR)),
        Function("histogram_quantiles", (VECTOR, STRING, SCALAR, SCALAR), variadic=9),
        Function("info", (VECTOR, VECTOR), variadic=1),
        Function("integral", (MATRIX, SCALAR), variadic=1),
        Function("label_join", (VECTOR, STRING, STRING, STRING), variadic=-1),
        Function("max_of", (SCALAR, SCALAR), SCALAR),
        Function("min_of", (SCALAR, SCALAR), SCALAR),
        Function("label_replace", (VECTOR, STRING, STRING, STRING, STRING)),
        Function("predict_linear", (MATRIX, SCALAR)),
        Function("quantile_over_time", (SCALAR, MATRIX)),
        Function("round", (VECTOR, SCALAR), variadic=1),
        Function("scalar", (VECTOR,), SCALAR),
        Function("sort_by_label", (VECTOR, STRING), variadic=-1),
        Function("sort_by_label_desc", (VECTOR, STRING), variadic=-1),
        Function("vector", (SCALAR,)),
    )
}
"""All functions by name."""
