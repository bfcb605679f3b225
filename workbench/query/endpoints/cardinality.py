"""How many series there are, and which names, labels and values make them so many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.query.index import label_index

if TYPE_CHECKING:
    from workbench.store import View


@dataclass(frozen=True)
class Cardinality:
    """Counts: series by metric, values by label, bytes of values by label, series by `label=value`."""

    series: int
    metrics: dict[str, int]
    values: dict[str, int]
    bytes: dict[str, int]
    pairs: dict[str, int]


def cardinality(view: View) -> Cardinality:
    """The counts of a view's series, as it shows them."""
    index = label_index(view)
    counts = index.counts()
    return Cardinality(
        len(index.rows),
        counts.get("__name__", {}),
        {label: len(found) for label, found in counts.items()},
        {label: sum(map(len, map(str.encode, found))) for label, found in counts.items()},
        {f"{label}={value}": number for label, found in counts.items() for value, number in found.items()},
    )
