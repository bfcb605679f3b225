"""What the evaluator hands around: a scalar or a vector at every step of the query at once.

Label sets are held once per series, numbers as one matrix series x steps with a mask of what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import QueryError
from workbench.query.names import Labels


@dataclass(frozen=True)
class Scalar:
    """One float per step: values float64[k]."""

    values: np.ndarray


@dataclass(frozen=True)
class Vector:
    """Series at every step: values float64[n, k], present bool[n, k], labels of length n."""

    labels: Sequence[Labels]
    values: np.ndarray
    present: np.ndarray

    def with_labels(self, labels: Sequence[Labels]) -> Vector:
        """The same numbers under other labels."""
        return Vector(labels, self.values, self.present)

    def with_values(self, values: np.ndarray, present: np.ndarray | None = None) -> Vector:
        """Other numbers under the same labels."""
        return Vector(self.labels, values, self.present if present is None else present)

    def take(self, rows: np.ndarray) -> Vector:
        """Some of the series, in that order."""
        return Vector([self.labels[row] for row in rows.tolist()], self.values[rows], self.present[rows])

    def without_name(self) -> Vector:
        """Without `__name__`, as after anything that changes what a number means."""
        return unique(self.with_labels([drop_name(labels) for labels in self.labels]))


def drop_name(labels: Labels) -> Labels:
    """Labels without `__name__`."""
    return tuple(pair for pair in labels if pair[0] != "__name__")


def keeping(names: Sequence[str]) -> Callable[[Labels], Labels]:
    """A function that keeps only these labels."""
    wanted = frozenset(names)
    return lambda labels: tuple(pair for pair in labels if pair[0] in wanted)


def dropping(names: Sequence[str]) -> Callable[[Labels], Labels]:
    """A function that drops these labels and `__name__`."""
    unwanted = frozenset((*names, "__name__"))
    return lambda labels: tuple(pair for pair in labels if pair[0] not in unwanted)


def unique(vector: Vector) -> Vector:
    """Merge series that have the same labels at different steps. Raises QueryError where they meet at one step."""
    first: dict[Labels, int] = {}
    targets = np.array([first.setdefault(labels, len(first)) for labels in vector.labels], np.int64)
    if len(first) == len(vector.labels):
        return vector
    present = np.zeros((len(first), vector.present.shape[1]), bool)
    values = np.zeros(present.shape)
    for row, target in enumerate(targets):
        here = vector.present[row]
        if (present[target] & here).any():
            raise QueryError(
                "vector cannot contain metrics with the same labelset",
                where=show(vector.labels[row]),
                hint="Several series differ only by what was dropped; aggregate them, or select by name.",
            )
        values[target] = np.where(here, vector.values[row], values[target])
        present[target] |= here
    return Vector(list(first), values, present)


def show(labels: Labels) -> str:
    """Labels in braces, for messages."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


def empty(steps: int) -> Vector:
    """A vector without series."""
    return Vector([], np.empty((0, steps)), np.empty((0, steps), bool))
