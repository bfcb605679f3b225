"""Label matchers of a selector: `=`, `!=`, `=~`, `!~`.

Regular expressions are RE2's, fully anchored, `.` matches a newline too (as Prometheus 3). They are run by the RE2
inside Arrow: linear in the text, so no pattern can be catastrophic, and exactly the language that Prometheus takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from workbench.errors import QuerySyntaxError
from workbench.query.promql.text import label_name, quote

MAX_PATTERN = 10_000
"""Longest regular expression in characters."""


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; a label that is not there counts as the empty string."""

    label: str
    operator: str
    value: str
    span: tuple[int, int] = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        if self.label == "__name__" and self.operator == "=":
            return quote(self.value)
        return f"{label_name(self.label) or quote(self.label)}{self.operator}{quote(self.value)}"

    @property
    def negative(self) -> bool:
        """Whether it is `!=` or `!~`."""
        return self.operator[0] == "!"

    def matches(self, values: Sequence[str]) -> np.ndarray:
        """Which of the values meet the condition: bool[n]."""
        if self.operator in ("=", "!="):
            hits = np.fromiter((value == self.value for value in values), bool, len(values))
        else:
            hits = _search(self.value, values)
        return ~hits if self.negative else hits

    def matches_empty(self) -> bool:
        """Whether a series without the label meets the condition."""
        return _matches_empty(self.operator, self.value)


def check_pattern(pattern: str, position: int = 0) -> None:
    """Refuse a regular expression that RE2 does not take. Raises QuerySyntaxError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(pattern) > MAX_PATTERN:
        raise QuerySyntaxError(f"a regular expression may have {MAX_PATTERN} characters", position=position)
    try:
        # Alone first: `a)|(b` would be whole only inside the anchors.
        pc.match_substring_regex(pa.array([""]), pattern)
        _search(pattern, ("",))
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ").partition(": ")[0]
        raise QuerySyntaxError(
            f"error parsing regexp: {reason}: {pattern[:80]!r}", position=position, hint="The syntax is RE2's."
        ) from None


@lru_cache(maxsize=1024)
def _matches_empty(operator: str, value: str) -> bool:
    return bool(Matcher("", operator, value).matches(("",))[0])


def _search(pattern: str, values: Sequence[str]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.match_substring_regex(pa.array(values, pa.string()), f"^(?s:{pattern})$")
    return found.to_numpy(zero_copy_only=False)
