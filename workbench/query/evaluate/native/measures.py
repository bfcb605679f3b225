"""`histogram_quantile` and its kin: functions of vectors that hold histograms, native or classic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.query.evaluate import buckets, labels
from workbench.query.evaluate.context import Context
from workbench.query.evaluate.native.ranges import for_metric, name_of
from workbench.query.evaluate.overtime import note_quantiles
from workbench.query.evaluate.values import Scalar, Vector, empty, stacked
from workbench.query.promql.nodes import Call, Node
from workbench.store import Histograms

_SIMPLE: dict[str, Callable[[Histograms], np.ndarray]] = {
    "histogram_count": lambda held: held.counts,
    "histogram_sum": lambda held: held.sums,
    "histogram_avg": lambda held: held.sums / held.counts,
}


def call(context: Context, node: Call, args: Sequence[Scalar | Vector | str]) -> Vector:
    """One of `functions.HISTOGRAM_FUNCTIONS`."""
    name = node.function
    vector = next(arg for arg in args if isinstance(arg, Vector))
    numbers = [arg.values for arg in args if isinstance(arg, Scalar)]
    if name == "histogram_fraction":
        return _fraction(context, vector, numbers[0], numbers[1], node.args[2])
    if name in ("histogram_quantile", "histogram_quantiles"):
        scalars = [argument for argument, arg in zip(node.args, args, strict=True) if isinstance(arg, Scalar)]
        for wanted, argument in zip(numbers, scalars, strict=True):
            note_quantiles(context, wanted, argument)
        if name == "histogram_quantile":
            return _quantile(context, vector, numbers[0], node.args[1])
        found = [(wanted, _quantile(context, vector, wanted, node.args[0])) for wanted in numbers]
        return labels.spread(found, str(args[1]))
    if vector.native is None:
        return empty(vector.present.shape[1])
    held = vector.native.held
    with np.errstate(all="ignore"):
        if name in _SIMPLE:
            out = _SIMPLE[name](held)
        else:
            from workbench.query.histograms.measure import variances

            out = variances(held)
            out = np.sqrt(out) if name == "histogram_stddev" else out
    return vector.with_values(vector.native.fill(out), vector.native.present).without_name()


def _unmixed(context: Context, vector: Vector, node: Node) -> Vector:
    """The vector without what is, at one step, a classic and a native histogram under the same labels."""
    if vector.native is None:
        return vector
    rows_of = {series: row for row, series in enumerate(vector.labels)}
    native = vector.native.present
    keep = np.ones(native.shape, bool)
    for row in np.flatnonzero(vector.present.any(axis=1)).tolist():
        series = vector.labels[row]
        owner = rows_of.get(tuple(pair for pair in series if pair[0] != "le"))
        if owner is None or "le" not in dict(series):
            continue
        both = vector.present[row] & native[owner]
        if both.any():
            message = f"vector contains a mix of classic and native histograms{for_metric(name_of(series))}"
            context.notes.warn(message, node)
            keep[[row, owner]] &= ~both
    return vector.only(keep)


def _beside(vector: Vector, classic: Vector, values: np.ndarray) -> Vector:
    """What was found of native histograms above what was found of classic ones."""
    if vector.native is None:
        return classic
    return stacked(vector.with_values(values, vector.native.present), classic).without_name()


def _quantile(context: Context, vector: Vector, wanted: np.ndarray, node: Node) -> Vector:
    vector = _unmixed(context, vector, node)
    classic = buckets.quantiles(context, vector, wanted, node)
    values = np.zeros(vector.present.shape)
    if vector.native is not None:
        from workbench.query.histograms import measure

        cells = vector.native.present
        asked = np.broadcast_to(wanted, cells.shape)[cells]
        values[cells], bits = measure.quantiles(vector.native.held.take(vector.native.places), asked)
        for bit, effect in ((measure.NAN_RESULT, "result is NaN"), (measure.NAN_SKEW, "result is skewed higher")):
            said = np.zeros(cells.shape, bool)
            said[cells] = bits & bit != 0
            _say(context, vector, said, f"input to histogram_quantile has NaN observations, {effect}", node)
    return _beside(vector, classic, values)


def _say(context: Context, vector: Vector, mask: np.ndarray, message: str, node: Node) -> None:
    rows = np.flatnonzero(mask.any(axis=1)).tolist()
    for metric in dict.fromkeys(name_of(vector.labels[row]) for row in rows):
        context.notes.info(f"{message}{for_metric(metric)}", node)


def _fraction(context: Context, vector: Vector, lower: np.ndarray, upper: np.ndarray, node: Node) -> Vector:
    vector = _unmixed(context, vector, node)
    classic = buckets.fractions(context, vector, lower, upper, node)
    values = np.zeros(vector.present.shape)
    if vector.native is not None:
        from workbench.query.histograms.measure import fractions

        cells = vector.native.present
        low, high = (np.broadcast_to(bound, cells.shape)[cells] for bound in (lower, upper))
        values[cells], missing = fractions(vector.native.held.take(vector.native.places), low, high)
        said = np.zeros(cells.shape, bool)
        said[cells] = missing
        message = "input to histogram_fraction has NaN observations, which are excluded from all fractions"
        _say(context, vector, said, message, node)
    return _beside(vector, classic, values)
