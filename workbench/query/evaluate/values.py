"""What the evaluator hands around: a scalar or a vector at every step of the query at once.

Label sets are held once per series, numbers as one matrix series x steps with a mask of what is there. A metric's name
(with its type and unit) goes only at the end of an evaluation: until then a series is marked as about to lose it, so
that `label_replace` can still take it up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import QueryError
from workbench.query.histograms.grid import Grid, joined
from workbench.query.names import Labels


@dataclass(frozen=True)
class Scalar:
    """One float per step: values float64[k]."""

    values: np.ndarray


METADATA_LABELS = frozenset(("__name__", "__type__", "__unit__"))
"""Labels that say what a number means; they go where it changes."""


@dataclass(frozen=True)
class Vector:
    """Series at every step: values float64[n, k], present bool[n, k], labels of length n.

    `present` tells where a float is; native histograms stand in `native`, at other steps. What looks at floats alone
    passes over histograms without a thought of them; `there` is where either is.
    `unnamed` bool[n] marks the series that lose their METADATA_LABELS at the end of the evaluation; None: none does.
    """

    labels: Sequence[Labels]
    values: np.ndarray
    present: np.ndarray
    unnamed: np.ndarray | None = None
    native: Grid | None = None

    @property
    def there(self) -> np.ndarray:
        """bool[n, k]: where there is a float or a histogram."""
        return self.present if self.native is None else self.present | self.native.present

    @property
    def loses_name(self) -> np.ndarray:
        """`unnamed`, spelled out."""
        return np.zeros(len(self.labels), bool) if self.unnamed is None else self.unnamed

    def with_labels(self, labels: Sequence[Labels]) -> Vector:
        """The same numbers under other labels."""
        return replace(self, labels=labels)

    def with_values(self, values: np.ndarray, present: np.ndarray | None = None) -> Vector:
        """Other numbers, and no histograms, under the same labels."""
        return replace(self, values=values, present=self.present if present is None else present, native=None)

    def with_native(self, native: Grid | None) -> Vector:
        """The same floats beside other histograms."""
        return replace(self, native=native)

    def only(self, mask: np.ndarray) -> Vector:
        """The floats and histograms of the cells of a mask."""
        native = None if self.native is None else self.native.where(mask)
        return replace(self, present=self.present & mask, native=native)

    def take(self, rows: np.ndarray) -> Vector:
        """Some of the series, in that order."""
        return Vector(
            [self.labels[row] for row in rows.tolist()],
            self.values[rows],
            self.present[rows],
            None if self.unnamed is None else self.unnamed[rows],
            None if self.native is None else self.native.take(rows),
        )

    def without_name(self) -> Vector:
        """Marked to lose the name, as after anything that changes what a number means."""
        return replace(self, unnamed=np.ones(len(self.labels), bool))

    def finished(self) -> Vector:
        """At the end of an evaluation: names that were to go are gone. Raises QueryError where series then collide."""
        if self.unnamed is None or not self.unnamed.any():
            return self
        labels = [drop_name(one) if goes else one for one, goes in zip(self.labels, self.unnamed, strict=True)]
        return unique(replace(self, labels=labels, unnamed=None))


def drop_name(labels: Labels) -> Labels:
    """Labels without METADATA_LABELS."""
    return tuple(pair for pair in labels if pair[0] not in METADATA_LABELS)


def keeping(names: Sequence[str]) -> Callable[[Labels], Labels]:
    """A function that keeps only these labels."""
    wanted = frozenset(names)
    return lambda labels: tuple(pair for pair in labels if pair[0] in wanted)


def dropping(names: Sequence[str]) -> Callable[[Labels], Labels]:
    """A function that drops these labels and METADATA_LABELS."""
    unwanted = METADATA_LABELS | frozenset(names)
    return lambda labels: tuple(pair for pair in labels if pair[0] not in unwanted)


def unique(vector: Vector) -> Vector:
    """Merge series that have the same labels at different steps. Raises QueryError where they meet at one step."""
    first: dict[Labels, int] = {}
    targets = np.array([first.setdefault(labels, len(first)) for labels in vector.labels], np.int64)
    if len(first) == len(vector.labels):
        return vector
    present = np.zeros((len(first), vector.present.shape[1]), bool)
    values = np.zeros(present.shape)
    which = np.full(present.shape, -1, np.int64)
    taken = np.zeros(present.shape, bool)
    there = vector.there
    for row, target in enumerate(targets):
        here = vector.present[row]
        if (taken[target] & there[row]).any():
            raise QueryError(
                "vector cannot contain metrics with the same labelset",
                where=show(vector.labels[row]),
                hint="Several series differ only by what was dropped; aggregate them, or select by name.",
            )
        values[target] = np.where(here, vector.values[row], values[target])
        present[target] |= here
        taken[target] |= there[row]
        if vector.native is not None:
            which[target] = np.maximum(which[target], vector.native.which[row])
    unnamed = None
    if vector.unnamed is not None:
        unnamed = np.zeros(len(first), bool)
        np.logical_or.at(unnamed, targets, vector.unnamed)
    native = None if vector.native is None else Grid(which, vector.native.held)
    return Vector(list(first), values, present, unnamed, native)


def stacked(upper: Vector, lower: Vector) -> Vector:
    """The series of one vector after those of another."""
    return Vector(
        [*upper.labels, *lower.labels],
        np.concatenate((upper.values, lower.values)),
        np.concatenate((upper.present, lower.present)),
        np.concatenate((upper.loses_name, lower.loses_name)),
        joined(upper.native, lower.native, upper.present.shape, lower.present.shape),
    )


def show(labels: Labels) -> str:
    """Labels in braces, for messages."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


def empty(steps: int) -> Vector:
    """A vector without series."""
    return Vector([], np.empty((0, steps)), np.empty((0, steps), bool))
