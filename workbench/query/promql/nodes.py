"""The syntax tree of PromQL: frozen dataclasses, each with the range of characters it was read from.

`str(node)` prints an expression that parses to the same tree (positions aside). Durations are int64 microseconds.
Positions are 0-based character offsets [start, end) into the expression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.query.promql.text import format_duration, format_number, label_name, quote

if TYPE_CHECKING:
    from workbench.query.promql.matcher import Matcher

SCALAR, VECTOR, MATRIX, STRING = "scalar", "vector", "matrix", "string"
DOCUMENTED_TYPES = {VECTOR: "instant vector", MATRIX: "range vector", SCALAR: "scalar", STRING: "string"}
"""Types as Prometheus' documentation calls them."""

Span = tuple[int, int]

COMPARISONS = ("==", "!=", "<=", "<", ">=", ">")
SET_OPERATORS = ("and", "or", "unless")
TRIMS = ("</", ">/")
PRECEDENCE = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys((*COMPARISONS, *TRIMS), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
"""Binary operators and how tightly they bind; all associate to the left but `^`."""


@dataclass(frozen=True)
class Number:
    """A number, or a duration in seconds (`1h30m` is 5400)."""

    value: float
    span: Span = field(default=(0, 0), compare=False)

    type = SCALAR

    def __str__(self) -> str:
        return format_number(self.value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Number):
            return NotImplemented
        same_nan = math.isnan(self.value) and math.isnan(other.value)
        return same_nan or (self.value == other.value and math.copysign(1, self.value) == math.copysign(1, other.value))

    def __hash__(self) -> int:
        return hash(str(self.value))


@dataclass(frozen=True)
class Text:
    """A string literal."""

    value: str
    span: Span = field(default=(0, 0), compare=False)

    type = STRING

    def __str__(self) -> str:
        return quote(self.value)


@dataclass(frozen=True)
class DurationOf:
    """What a duration is made of where it is not a plain number: `step()`, `range()`, or an operator over durations.

    `operator` is `step`, `range`, `min_of`, `max_of`, or one of `+ - * / % ^` (with one operand: a sign).
    """

    operator: str
    operands: tuple[Duration, ...] = ()
    span: Span = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        parts = [str(operand) for operand in self.operands]
        if self.operator in ("step", "range", "min_of", "max_of"):
            return f"{self.operator}({', '.join(parts)})"
        if len(parts) == 1:
            return f"({self.operator}{parts[0]})"
        return f"({parts[0]} {self.operator} {parts[1]})"


@dataclass(frozen=True)
class Literal:
    """A duration written as a number or with units."""

    us: int
    span: Span = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return format_duration(self.us)


Duration = Literal | DurationOf


@dataclass(frozen=True)
class When:
    """The modifiers of a selector that move it in time: `offset` and `@` (microseconds since 1970, or start or end)."""

    offset: Duration | None = None
    at_us: int | None = None
    at_edge: str = ""

    def __str__(self) -> str:
        text = f" @ {format_number(self.at_us / 1e6)}" if self.at_us is not None else ""
        if self.at_edge:
            text = f" @ {self.at_edge}()"
        if self.offset is not None:
            text += f" offset {self.offset}"
        return text


NOW = When()


@dataclass(frozen=True)
class Selector:
    """An instant vector selector. `extension` is `anchored`, `smoothed` or empty."""

    matchers: tuple[Matcher, ...]
    when: When = NOW
    extension: str = ""
    span: Span = field(default=(0, 0), compare=False)

    type = VECTOR

    @property
    def name(self) -> str:
        """The metric name, where one `=` matcher gives it; else empty."""
        return next((m.value for m in self.matchers if m.label == "__name__" and m.operator == "="), "")

    def text(self) -> str:
        """The selector without its modifiers."""
        name = self.name
        bare = name if label_name(name, colons=True) == name else ""
        rest = [m for m in self.matchers if not (bare and m.label == "__name__" and m.operator == "=")]
        if not rest and bare:
            return bare
        return f"{bare}{{{', '.join(str(m) for m in rest)}}}"

    def in_braces(self) -> str:
        """The same selector with its name, where it has one, among the matchers."""
        inside = ", ".join(
            f"__name__={quote(m.value)}" if m.label == "__name__" and m.operator == "=" else str(m)
            for m in self.matchers
        )
        return f"{{{inside}}}{self.when}{f' {self.extension}' if self.extension else ''}"

    def __str__(self) -> str:
        return f"{self.text()}{self.when}{f' {self.extension}' if self.extension else ''}"


@dataclass(frozen=True)
class Range:
    """A range vector selector: the samples of the `duration` that ends at the evaluation time (start excluded)."""

    selector: Selector
    duration: Duration
    span: Span = field(default=(0, 0), compare=False)

    type = MATRIX

    def __str__(self) -> str:
        inner = self.selector
        extension = f" {inner.extension}" if inner.extension else ""
        return f"{inner.text()}[{self.duration}]{extension}{inner.when}"


@dataclass(frozen=True)
class Subquery:
    """An expression evaluated over a range: `expr[duration:step]`."""

    expr: Node
    duration: Duration
    step: Duration | None = None
    when: When = NOW
    span: Span = field(default=(0, 0), compare=False)

    type = MATRIX

    def __str__(self) -> str:
        return f"{self.expr}[{self.duration}:{self.step or ''}]{self.when}"


@dataclass(frozen=True)
class Call:
    """A function call."""

    function: str
    args: tuple[Node, ...]
    type: str
    span: Span = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        args = [str(arg) for arg in self.args]
        if self.function == "info" and len(args) > 1 and isinstance(self.args[1], Selector):
            args[1] = self.args[1].in_braces()  # a name before the braces is not allowed there
        return f"{self.function}({', '.join(args)})"


@dataclass(frozen=True)
class Aggregation:
    """An aggregation over series: `operator` by (or without) `labels`."""

    operator: str
    expr: Node
    parameter: Node | None = None
    labels: tuple[str, ...] = ()
    without: bool = False
    span: Span = field(default=(0, 0), compare=False)

    type = VECTOR

    def __str__(self) -> str:
        clause = ""
        if self.without or self.labels:
            clause = f" {'without' if self.without else 'by'} {_label_list(self.labels)} "
        inside = str(self.expr) if self.parameter is None else f"{self.parameter}, {self.expr}"
        return f"{self.operator}{clause}({inside})"


@dataclass(frozen=True)
class Matching:
    """How the two sides of a binary operator find each other.

    `on` tells whether `labels` are the only ones compared or the ones ignored; `group` is `left`, `right` or empty;
    `include` names labels taken over from the "one" side; the fill values stand in for a missing side.
    """

    on: bool = False
    labels: tuple[str, ...] = ()
    group: str = ""
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None

    def __str__(self) -> str:
        text = ""
        if self.on or self.labels or self.group:
            text += f" {'on' if self.on else 'ignoring'} {_label_list(self.labels)}"
        if self.group:
            text += f" group_{self.group} {_label_list(self.include)}"
        for side, value in (("left", self.fill_left), ("right", self.fill_right)):
            if value is not None:
                text += f" fill_{side} ({format_number(value)})"
        return text


@dataclass(frozen=True)
class Binary:
    """A binary operation: scalar where both sides are, else vector. `matching` is there where both are vectors."""

    operator: str
    left: Node
    right: Node
    type: str
    returns_bool: bool = False
    matching: Matching | None = None
    span: Span = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        modifiers = f"{' bool' if self.returns_bool else ''}{self.matching or ''}"
        return f"{self.left} {self.operator}{modifiers} {self.right}"


@dataclass(frozen=True)
class Unary:
    """A sign before an expression."""

    operator: str
    expr: Node
    span: Span = field(default=(0, 0), compare=False)

    @property
    def type(self) -> str:
        """That of the expression."""
        return self.expr.type

    def __str__(self) -> str:
        return f"{self.operator}{self.expr}"


@dataclass(frozen=True)
class Paren:
    """An expression in parentheses."""

    expr: Node
    span: Span = field(default=(0, 0), compare=False)

    @property
    def type(self) -> str:
        """That of the expression."""
        return self.expr.type

    def __str__(self) -> str:
        return f"({self.expr})"


Node = Number | Text | Selector | Range | Subquery | Call | Aggregation | Binary | Unary | Paren


def _label_list(labels: tuple[str, ...]) -> str:
    return f"({', '.join(label_name(label) or quote(label) for label in labels)})"
