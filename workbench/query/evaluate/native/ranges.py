"""Functions of range vectors that hold native histograms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.query.evaluate import starts
from workbench.query.evaluate.context import Context
from workbench.query.evaluate.overtime import note_overlaps
from workbench.query.evaluate.selectors import Windows
from workbench.query.evaluate.values import Vector
from workbench.query.histograms import combine, resets, spans
from workbench.query.histograms.grid import Grid, divided, no_grid, overlaid, scaled, scattered
from workbench.query.names import Labels
from workbench.query.promql.nodes import Node
from workbench.query.samples import Loaded
from workbench.schema import GAUGE
from workbench.store import Histograms, HistogramSamples

FUNCTIONS = frozenset((
    "absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "first_over_time", "idelta", "increase",
    "irate", "last_over_time", "present_over_time", "rate", "resets", "sum_over_time", "ts_of_first_over_time",
    "ts_of_last_over_time",
))  # fmt: skip
"""Functions that heed histograms. All others look at the floats of a window, and say that they do."""


@dataclass(frozen=True)
class NativeWindows:
    """The samples of windows of both kinds: [lo, hi) of the floats, [native_lo, native_hi) of the histograms."""

    loaded: Loaded
    samples: HistogramSamples
    ends_us: np.ndarray
    width_us: int
    lo: np.ndarray
    hi: np.ndarray
    native_lo: np.ndarray
    native_hi: np.ndarray
    extension: str = ""

    @property
    def floats(self) -> np.ndarray:
        """How many floats there are in each window."""
        return self.hi - self.lo

    @property
    def natives(self) -> np.ndarray:
        """How many histograms there are in each window."""
        return self.native_hi - self.native_lo

    @property
    def heeds_starts(self) -> bool:
        """Whether start times tell resets, too."""
        return self.loaded.starts_us is not None

    def pairs(self, fell: bool, *, by_starts: bool = True) -> np.ndarray:
        """bool[m + 1]: whether a counter was reset (or else, a histogram changed) between histogram i - 1 and i."""
        held = self.samples.histograms
        after = np.arange(1, held.size)
        out = np.zeros(held.size + 1, bool)
        if fell:
            out[1:-1] = resets.were_reset(held, after - 1, after)
            if self.heeds_starts and by_starts:
                out[1:-1] |= starts.anew_pairs(self.samples.times_us, self.samples.starts_us)
        else:
            out[1:-1] = ~resets.equal(held.take(after - 1), held.take(after))
        return out


def _both(windows: Windows) -> NativeWindows:
    samples = windows.loaded.native
    assert samples is not None
    assert windows.native_lo is not None
    assert windows.native_hi is not None
    return NativeWindows(
        windows.loaded, samples, windows.ends_us, windows.width_us, windows.lo, windows.hi, windows.native_lo,
        windows.native_hi, windows.extension,
    )  # fmt: skip


def smoothed(context: Context, windows: Windows, floats: Vector, node: Node) -> Vector:
    """A smoothed instant selector, floats and histograms together; `floats` is what it gives for the floats alone."""
    from workbench.query.evaluate.native import extended

    of = _both(windows)
    mixed = (of.floats > 0) & (of.natives > 0)
    _say_mixed(context, of, mixed, node)
    grid = extended.smoothed(context, of, (of.natives > 0) & ~mixed, node)
    return floats.with_values(floats.values, floats.present & ~mixed).with_native(grid)


def call(context: Context, name: str, windows: Windows, floats: Vector, node: Node) -> Vector:
    """What a function gives, floats and histograms together; `floats` is what it gives for the floats alone."""
    of = _both(windows)
    mixed = (of.floats > 0) & (of.natives > 0)
    if name not in FUNCTIONS:
        seen = mixed & floats.present
        for metric in _names(of, seen):
            message = "ignored histograms in a range containing both floats and histograms for metric name"
            context.notes.info(f"{message} {quoted(metric)}", node)
        return floats
    if name in ("count_over_time", "present_over_time", "absent_over_time"):
        there = of.floats + of.natives
        out = there.astype(np.float64) if name == "count_over_time" else np.ones(there.shape)
        return floats.with_values(out, there > 0)
    if name in ("changes", "resets"):
        return _steps(name, of, floats)
    if name in ("first_over_time", "last_over_time", "ts_of_first_over_time", "ts_of_last_over_time"):
        return _edge(name, of, floats)
    if name in ("irate", "idelta"):
        return _last_two(context, name, of, floats, node)
    if name in ("sum_over_time", "avg_over_time"):
        grid = _total(context, name, of, (of.natives > 0) & ~mixed, node)
    elif of.extension:
        from workbench.query.evaluate.native import extended

        grid = extended.increase(context, name, of, (of.natives > 0) & ~mixed, of.extension == "smoothed", node)
    elif of.heeds_starts and name != "delta":
        grid = _by_starts(context, name, of, mixed, node)
    else:
        grid = _increase(context, name, of, (of.natives > 1) & ~mixed, node)
    _say_mixed(context, of, mixed, node)
    return floats.with_values(floats.values, floats.present & ~mixed).with_native(grid)


def _say_mixed(context: Context, of: NativeWindows, mixed: np.ndarray, node: Node) -> None:
    for metric in _names(of, mixed):
        context.notes.warn(f"encountered a mix of histograms and floats for metric name {quoted(metric)}", node)


def _names(of: NativeWindows, mask: np.ndarray) -> list[str]:
    """The metric names of series that a mask marks anywhere, each once."""
    rows = np.flatnonzero(mask.any(axis=1)).tolist()
    return list(dict.fromkeys(name_of(of.loaded.labels[row]) for row in rows))


def name_of(labels: Labels) -> str:
    """The metric's name, empty where there is none."""
    return dict(labels).get("__name__", "")


def quoted(text: str) -> str:
    """In double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def for_metric(metric: str) -> str:
    """How a message says which metric it is about."""
    return f" for metric name {quoted(metric)}" if metric else ""


def _steps(name: str, of: NativeWindows, floats: Vector) -> Vector:
    if of.extension:
        from workbench.query.evaluate.native import extended

        lo, native_lo = extended.anchored(of)
        of = replace(of, lo=lo, native_lo=native_lo)
    values, times = of.loaded.values, of.loaded.times_us
    marked = np.zeros(len(values) + 1, bool)
    before, after = values[:-1], values[1:]
    if name == "resets":
        marked[1:-1] = after < before
    else:
        marked[1:-1] = (after != before) & ~(np.isnan(after) & np.isnan(before))
    ranges = (times, of.lo, of.hi, of.samples.times_us, of.native_lo, of.native_hi)
    out = spans.alternations(*ranges)
    out += spans.pairs_between(marked, *ranges, False)
    out += spans.pairs_between(of.pairs(name == "resets"), *ranges, True)
    return floats.with_values(out, of.floats + of.natives > 0)


def _edge(name: str, of: NativeWindows, floats: Vector) -> Vector:
    """The first or last sample of a window, or its time."""
    first = "first" in name
    place = of.lo if first else of.hi - 1
    native_place = of.native_lo if first else of.native_hi - 1
    has_float, has_native = of.floats > 0, of.natives > 0
    worst = np.iinfo(np.int64).max if first else np.iinfo(np.int64).min
    time = _picked(of.loaded.times_us, place, has_float, worst)
    native_time = _picked(of.samples.times_us, native_place, has_native, worst)
    if name.startswith("ts_of"):
        best = np.minimum(time, native_time) if first else np.maximum(time, native_time)
        there = has_float | has_native
        return floats.with_values(np.where(there, best / 1e6, 0.0), there)
    wins = has_native & ~((time < native_time) if first else (native_time < time))
    grid = Grid(np.where(wins, native_place, -1), of.samples.histograms)
    return floats.with_values(floats.values, has_float & ~wins).with_native(grid)


def _picked(times: np.ndarray, places: np.ndarray, there: np.ndarray, other: int) -> np.ndarray:
    if not len(times):
        return np.full(places.shape, other)
    return np.where(there, times[np.clip(places, 0, len(times) - 1)], other)


def _last_two(context: Context, name: str, of: NativeWindows, floats: Vector, node: Node) -> Vector:
    """`irate` and `idelta`, which look at the last two samples of any kind."""
    none = np.iinfo(np.int64).min
    newest = [_picked(of.loaded.times_us, of.hi - back, of.floats >= back, none) for back in (1, 2)]
    native = [_picked(of.samples.times_us, of.native_hi - back, of.natives >= back, none) for back in (1, 2)]
    both_native = native[1] > newest[0]
    both_floats = newest[1] > native[0]
    mixed = (of.floats + of.natives >= 2) & ~both_native & ~both_floats
    _say_mixed(context, of, mixed, node)
    counter = name == "irate"
    last = (of.native_hi - 1)[both_native]
    held = of.samples.histograms
    hints = held.hints
    gauges = np.zeros(both_native.shape, np.int64)
    gauges[both_native] = (hints[last] == GAUGE).astype(np.int64) + (hints[last - 1] == GAUGE)
    say_wrong_kind(context, of, both_native, gauges > 0, gauges < 2, counter, node)
    reset = resets.were_reset(held, last - 1, last) if counter else np.zeros(len(last), bool)
    if counter and of.heeds_starts:
        reset |= of.pairs(True)[last]
    sizes = np.where(reset, 1, 2)
    bounds = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    items, weights = np.repeat(last, sizes), np.ones(bounds[-1])
    seconds = bounds[:-1][~reset] + 1
    items[seconds] -= 1
    weights[seconds] = -1.0
    out, bits = combine.combine(held, bounds, items, weights)
    if counter and len(last):
        out = divided(out, (of.samples.times_us[last] - of.samples.times_us[last - 1]) / 1e6)
    out = out._replace(hints=np.full(out.size, GAUGE, np.int8))
    grid = without_incompatible(context, of, scattered(out, both_native), bits, "subtraction", node)
    return floats.with_values(floats.values, floats.present & both_floats).with_native(grid)


def say_wrong_kind(
    context: Context,
    of: NativeWindows,
    mask: np.ndarray,
    gauge: np.ndarray,
    no_gauge: np.ndarray,
    counter: bool,
    node: Node,
) -> None:
    """Warn where a counter's function meets gauges, or the other way round."""
    wrong = mask & (gauge if counter else no_gauge)
    for metric in _names(of, wrong):
        kind = "counter" if counter else "gauge"
        context.notes.warn(f"this native histogram metric is not a {kind}: {quoted(metric)}", node)


def without_incompatible(
    context: Context, of: NativeWindows, grid: Grid, bits: np.ndarray, operation: str, node: Node
) -> Grid:
    """Without the results of what does not add up, which is told."""
    wrong = np.zeros(grid.which.shape, bool)
    wrong[grid.present] = (bits & combine.INCOMPATIBLE) != 0
    for metric in _names(of, wrong):
        message = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name"
        context.notes.warn(f"{message} {quoted(metric)}", node)
    if ((bits & combine.RECONCILED) != 0).any():
        context.notes.info(f"mismatched custom buckets were reconciled during {operation}", node)
    return grid.where(~wrong)


def _total(context: Context, name: str, of: NativeWindows, mask: np.ndarray, node: Node) -> Grid:
    """`sum_over_time` and `avg_over_time`."""
    lo, sizes = of.native_lo[mask], of.natives[mask]
    bounds = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    items = np.repeat(lo - bounds[:-1], sizes) + np.arange(bounds[-1])
    context.count(len(items))
    out, bits = sums(of.samples.histograms, bounds, items, mean=name == "avg_over_time")
    grid = without_incompatible(context, of, scattered(out, mask), bits, "aggregation", node)
    if ((bits & combine.COLLISION) != 0).any():
        context.notes.warn("conflicting counter resets during histogram aggregation", node)
    return grid


def sums(held: Histograms, bounds: np.ndarray, items: np.ndarray, *, mean: bool) -> tuple[Histograms, np.ndarray]:
    """Sums of histograms, or their means: of the sum, or where that overflows, the sum of the parts."""
    out, bits = combine.combine(held, bounds, items, np.ones(len(items)))
    if not mean:
        return out, bits
    sizes = np.diff(bounds)
    over = np.isinf(out.counts) | np.isinf(out.sums) | np.isinf(out.zero_counts)
    np.logical_or.at(over, np.repeat(np.arange(out.size), np.diff(out.bucket_offsets)), np.isinf(out.buckets))
    if over.any():
        shares = np.repeat(np.where(over, 1.0 / np.maximum(sizes, 1), 1.0), sizes)
        out, bits = combine.combine(held, bounds, items, shares)
    return divided(out, np.where(over, 1.0, np.maximum(sizes, 1))), bits


def _by_starts(context: Context, name: str, of: NativeWindows, mixed: np.ndarray, node: Node) -> Grid:
    """`rate` and `increase`, where a histogram that began inside the window counts from its beginning."""
    samples, some = of.samples, (of.natives > 0) & ~mixed
    if not some.any():
        return no_grid(some.shape)
    first = np.where(some, of.native_lo, 0)
    begins = samples.starts_us[first]
    begun = some & (begins != 0) & (begins > of.ends_us - of.width_us) & (begins < samples.times_us[first])
    wrong = starts.overlaps(samples.times_us, samples.starts_us, of.native_lo, of.native_hi) & some
    note_overlaps(context, of.loaded.labels, wrong, node)
    many = of.natives > 1
    alone = samples.histograms.take(first[begun & ~many])
    alone = alone._replace(hints=np.full(alone.size, GAUGE, np.int8))
    if name == "rate":
        alone = divided(alone, np.full(alone.size, of.width_us / 1e6))
    return overlaid([
        _increase(context, name, of, some & many & ~begun, node),
        _increase(context, name, of, some & many & begun, node, from_start=True),
        scattered(alone, begun & ~many),
    ])  # fmt: skip


def _increase(
    context: Context, name: str, of: NativeWindows, mask: np.ndarray, node: Node, *, from_start: bool = False
) -> Grid:
    """`rate`, `increase` and `delta`, extrapolated as those of floats are; or counted from the start of the first."""
    counter = name != "delta"
    held, times = of.samples.histograms, of.samples.times_us
    lo, hi = of.native_lo[mask], of.native_hi[mask]
    if not len(lo):
        return no_grid(mask.shape)
    context.count(len(lo))
    reset = of.pairs(True) if counter else np.zeros(held.size + 1, bool)
    bounds, items, weights, caps, kinds = spans.increase_items(lo, hi, reset, held.schemas, held.hints, counter)
    if from_start:
        items, weights = np.insert(items, bounds[1:], lo), np.insert(weights, bounds[1:], 1.0)
        bounds = bounds + np.arange(len(bounds))
    out, bits = combine.combine(held, bounds, items, weights, caps)
    bits[(kinds & spans.MIXED) != 0] |= combine.INCOMPATIBLE
    first, last = times[lo], times[hi - 1]
    ends = np.broadcast_to(of.ends_us, mask.shape)[mask]
    if from_start:
        covered, interval = (last - of.samples.starts_us[lo]) / 1e6, (last - first) / 1e6 / (hi - lo - 1)
        to_end = (ends - last) / 1e6
        to_end = np.where(to_end >= interval * 1.1, interval / 2, to_end)
        factors = (covered + to_end) / covered
    else:
        factors = _extrapolation(
            (last - first) / 1e6, (first - (ends - of.width_us)) / 1e6, (ends - last) / 1e6, hi - lo - 1,
            held.counts[lo] if counter else None, out.counts,
        )  # fmt: skip
    out = scaled(out, factors / (of.width_us / 1e6) if name == "rate" else factors)
    out = out._replace(hints=np.full(out.size, GAUGE, np.int8))
    gauge, no_gauge = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    gauge[mask], no_gauge[mask] = (kinds & spans.GAUGE_SEEN) != 0, (kinds & spans.NOT_GAUGE) != 0
    say_wrong_kind(context, of, mask, gauge, no_gauge, counter, node)
    return without_incompatible(context, of, scattered(out, mask), bits, "subtraction", node)


def _extrapolation(
    covered: np.ndarray,
    to_start: np.ndarray,
    to_end: np.ndarray,
    gaps: np.ndarray,
    at_start: np.ndarray | None,
    increase: np.ndarray,
) -> np.ndarray:
    """By how much the increase between the samples of a window grows to its edges (Prometheus `extrapolatedRate`)."""
    interval = covered / gaps
    threshold = interval * 1.1
    to_start = np.where(to_start >= threshold, interval / 2, to_start)
    if at_start is not None:
        with np.errstate(all="ignore"):
            to_zero = covered * (at_start / increase)
        to_start = np.where((increase > 0) & (at_start >= 0) & (to_zero < to_start), to_zero, to_start)
    to_end = np.where(to_end >= threshold, interval / 2, to_end)
    return np.asarray((covered + to_start + to_end) / covered)
