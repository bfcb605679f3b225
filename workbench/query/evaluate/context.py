"""One evaluation: over which data, at which times, within which limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench import config
from workbench.errors import NotEvaluated, QueryError
from workbench.query.evaluate.annotations import Annotations
from workbench.query.evaluate.values import Scalar, Vector
from workbench.query.index import LabelIndex
from workbench.query.promql.nodes import Duration, Literal, Node, Span, When
from workbench.query.promql.text import MAX_DURATION_US
from workbench.query.samples import Budget

if TYPE_CHECKING:
    from workbench.store import View


_DURATION_OPERATORS: dict[str, Callable[..., float]] = {
    "min_of": min,
    "max_of": max,
    "+": lambda *xs: sum(xs),
    "-": lambda *xs: xs[0] - xs[1] if len(xs) == 2 else -xs[0],
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
}


@dataclass
class Context:
    """What every part of the evaluator needs. Times are int64 microseconds.

    times_us[k] are the steps of the part being evaluated; `edges_us` and `step_us` are those of the whole query, to
    which `start()`, `end()`, `range()` and `step()` refer in subqueries too.
    """

    view: View
    index: LabelIndex
    limits: config.Query
    times_us: np.ndarray
    edges_us: tuple[int, int]
    step_us: int
    evaluate: Callable[[Context, Node], Scalar | Vector]
    budget: Budget
    counting: frozenset[Span] = frozenset()
    notes: Annotations = field(default_factory=Annotations)

    @property
    def lookback_us(self) -> int:
        """How old a sample may be to stand for now."""
        return round(self.limits.lookback_seconds * 1e6)

    def at(self, times_us: np.ndarray) -> Context:
        """The same evaluation at other times, within what is left of the limits."""
        return replace(self, times_us=times_us)

    def check_time(self) -> None:
        """Raise QueryLimit if the query runs longer than it may, QueryCanceled if nobody waits for it any more."""
        self.budget.check()

    def count(self, samples: int) -> None:
        """Account for samples that are about to be made, and for the time. Raises QueryLimit, QueryCanceled."""
        self.budget.spend(samples)

    def ends_us(self, when: When) -> np.ndarray:
        """Where the modifiers `@` and `offset` put every step: int64[k], not descending."""
        times = self.times_us
        if when.at_us is not None:
            times = np.full_like(times, when.at_us)
        elif when.at_edge:
            times = np.full_like(times, self.edges_us[when.at_edge == "end"])
        return times if when.offset is None else times - self.duration_us(when.offset)

    def duration_us(self, duration: Duration, *, positive: bool = False) -> int:
        """A duration with its arithmetic done. Raises QueryError where it is none, or not as `positive`."""
        seconds = self._seconds(duration)
        if not abs(seconds * 1e6) < MAX_DURATION_US:
            raise QueryError("duration out of range", where=str(duration))
        found = round(seconds * 1e6)
        if positive and found <= 0:
            raise QueryError("duration must be greater than 0", where=str(duration))
        return found

    def _seconds(self, duration: Duration) -> float:
        if isinstance(duration, Literal):
            return duration.us / 1e6
        if duration.operator == "step":
            return self.step_us / 1e6
        if duration.operator == "range":
            return (self.edges_us[1] - self.edges_us[0]) / 1e6
        # numpy's floats answer where Python's raise or turn complex; what is no number is out of range.
        operands = [np.float64(self._seconds(operand)) for operand in duration.operands]
        with np.errstate(all="ignore"):
            return float(_DURATION_OPERATORS[duration.operator](*operands))


def not_evaluated(what: str, node: Node) -> NotEvaluated:
    """The refusal of what parses but is not evaluated."""
    return NotEvaluated(
        f"{what} is not evaluated yet",
        where=f"character {node.span[0] + 1}",
        hint="docs/query.md lists what is.",
    )
