"""The parts of the grammar that say how long and when: durations with arithmetic, `offset`, `@`, signed numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from workbench.errors import QuerySyntaxError
from workbench.query.promql import text
from workbench.query.promql.lexer import Token
from workbench.query.promql.nodes import Duration, DurationOf, Literal, When
from workbench.query.promql.tokens import Tokens

MAX_AT_SECONDS = 2**62 / 1e6
"""Farthest time of `@`: half of what int64 microseconds hold, so that adding a duration cannot overflow."""

_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}


class Durations:
    """Reads durations from the same tokens as the parser; `deeper` bounds their nesting."""

    def __init__(self, tokens: Tokens, deeper: Callable[[], None]) -> None:
        self._tokens = tokens
        self._deeper = deeper

    def seconds(self, token: Token) -> float:
        """The value of a number or duration token."""
        if token.kind == "duration":
            return text.parse_duration(token.text, token.start) / 1e6
        return text.parse_number(token.text, token.start)

    def signed_number(self, context: str) -> float:
        """A number with an optional sign."""
        sign = self._tokens.accept("+", "-")
        value = self.seconds(self._tokens.expect(context, "number", "duration"))
        return -value if sign and sign.kind == "-" else value

    def duration(self, context: str, *, positive: bool = False) -> Duration:
        """A duration: `5m`, `300`, or arithmetic over them; what is known already must be positive."""
        start = self._tokens.peek.start
        found = self._sum(context, 1)
        if positive and isinstance(found, Literal) and found.us <= 0:
            raise QuerySyntaxError("duration must be greater than 0", position=start)
        return found

    def offset(self, when: When, word: Token) -> When:
        """What `offset` adds. Only parentheses open arithmetic here: `x offset 5m - 1` subtracts from x."""
        if when.offset is not None:
            raise QuerySyntaxError("offset may not be set multiple times", position=word.start)
        return replace(when, offset=self._signed("offset"))

    def at(self, when: When, word: Token) -> When:
        """What `@` adds to the modifiers."""
        if when.at_us is not None or when.at_edge:
            raise QuerySyntaxError("@ <timestamp> may not be set multiple times", position=word.start)
        edge = self._tokens.accept("start", "end")
        if edge:
            self._tokens.expect("@", "(")
            self._tokens.expect("@", ")")
            return replace(when, at_edge=edge.kind)
        start = self._tokens.peek.start
        seconds = self.signed_number("@")
        if not abs(seconds) < MAX_AT_SECONDS:
            raise QuerySyntaxError(f"timestamp out of bounds for @ modifier: {seconds}", position=start)
        return replace(when, at_us=round(seconds * 1_000) * 1_000)

    def _sum(self, context: str, lowest: int) -> Duration:
        self._deeper()
        left = self._signed(context, arithmetic=True)
        while (binding := _BINDING.get(self._tokens.peek.kind, 0)) >= lowest:
            operator = self._tokens.take()
            self._deeper()
            right = self._sum(context, binding if operator.kind == "^" else binding + 1)
            left = DurationOf(operator.kind, (left, right), (left.span[0], right.span[1]))
        return left

    def _signed(self, context: str, *, arithmetic: bool = False) -> Duration:
        sign = self._tokens.accept("+", "-")
        if not sign:
            return self._plain(context)
        self._deeper()
        # As elsewhere in the language, `^` binds more tightly than a sign.
        inner = self._sum(context, _BINDING["^"]) if arithmetic else self._signed(context)
        span = (sign.start, inner.span[1])
        if isinstance(inner, Literal):
            return Literal(-inner.us if sign.kind == "-" else inner.us, span)
        return DurationOf(sign.kind, (inner,), span)

    def _plain(self, context: str) -> Duration:
        token = self._tokens.take()
        if token.kind in ("number", "duration"):
            us = self.seconds(token) * 1e6
            if not abs(us) < text.MAX_DURATION_US:
                raise QuerySyntaxError("duration out of range", position=token.start)
            return Literal(round(us), (token.start, token.end))
        if token.kind == "(":
            inner = self._sum(context, 1)
            self._tokens.expect(context, ")")
            return inner
        if token.kind in ("step", "range", "min_of", "max_of") and self._tokens.accept("("):
            operands = [] if token.kind in ("step", "range") else [self._sum(context, 1)]
            if operands:
                self._tokens.expect(context, ",")
                operands.append(self._sum(context, 1))
            closing = self._tokens.expect(context, ")")
            return DurationOf(token.kind, tuple(operands), (token.start, closing.end))
        self._tokens.back()
        raise self._tokens.unexpected(context, "number or duration")
