"""The parameters of a call of Prometheus' HTTP API, as its documentation names and checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InputError, QuerySyntaxError
from workbench.query.index import label_index
from workbench.query.promql import Matcher, nodes, parse
from workbench.query.times import duration_us, moment_us

if TYPE_CHECKING:
    from workbench.store import View

Parameters = Sequence[tuple[str, str]]
"""Query string and form fields, in their order."""

TRUNCATED = "results truncated due to limit"


@dataclass(frozen=True)
class Asked:
    """Parameters and the time of the call (microseconds UTC). Of one that stands twice, the last counts.

    All methods raise InputError that names the parameter.
    """

    parameters: Parameters
    now_us: int

    def get(self, name: str) -> str:
        """A parameter, empty if it is missing."""
        return dict(self.parameters).get(name, "")

    def every(self, name: str) -> list[str]:
        """All values of a parameter that may stand several times."""
        return [value for known, value in self.parameters if known == name]

    def required(self, name: str) -> str:
        """A parameter that must be there."""
        if not self.get(name):
            raise InputError("cannot parse ''", where=name, hint="The parameter is required.")
        return self.get(name)

    def expression(self) -> str:
        """`query`. Raises QuerySyntaxError where it is missing."""
        if not self.get("query"):
            raise QuerySyntaxError("no expression found in input", position=0)
        return self.get("query")

    def time_us(self, name: str, default_us: int | None = None) -> int:
        """A time in microseconds UTC; without a default it must be there."""
        if default_us is not None and not self.get(name):
            return default_us
        return moment_us(self.required(name), self.now_us, name=name)

    def span_us(self) -> tuple[int, int] | None:
        """`start` and `end`, both included; None where neither is given. One that is missing is without bound."""
        if not self.get("start") and not self.get("end"):
            return None
        start_us, end_us = self.time_us("start", 0), self.time_us("end", 2**62)
        if end_us < start_us:
            raise InputError("end timestamp must not be before start timestamp", where="end")
        return start_us, end_us

    def duration_us(self, name: str) -> int | None:
        """A duration above 0 in microseconds; None where it is missing."""
        if not self.get(name):
            return None
        found = duration_us(self.get(name), name=name)
        if found <= 0:
            raise InputError("a duration must be greater than 0", where=name)
        return found

    def cut(self, found: list[Any]) -> tuple[list[Any], list[str]]:
        """The first `limit` of them (0 or none: all), and the warning that there are more."""
        limit = self.get("limit") or "0"
        if not limit.isdecimal():
            raise InputError(f"{limit!r} is not a number of results", where="limit")
        if not int(limit) or len(found) <= int(limit):
            return found, []
        return found[: int(limit)], [TRUNCATED]

    def matched(self, view: View) -> np.ndarray | None:
        """Rows of the label index that any `match[]` selects, ascending; None where there is none.

        Raises QuerySyntaxError too.
        """
        index = label_index(view)
        found = [index.select(matchers_of(text)) for text in self.every("match[]")]
        return np.unique(np.concatenate(found)) if found else None


def matchers_of(text: str) -> tuple[Matcher, ...]:
    """The matchers of a series selector. Raises QuerySyntaxError, InputError."""
    node = parse(text)
    if not isinstance(node, nodes.Selector):
        raise InputError(f"{text!r} is not a series selector", where="match[]")
    return node.matchers
