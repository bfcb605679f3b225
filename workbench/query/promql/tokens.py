"""A cursor over tokens, and the sentence that says what was expected instead of what is there."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import QuerySyntaxError
from workbench.query.promql.lexer import Token


class Tokens:
    """The tokens of one expression and how far they have been read."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    @property
    def peek(self) -> Token:
        """The token that comes next."""
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    @property
    def last(self) -> Token:
        """The token that was read last."""
        return self._tokens[min(max(self._next, 1), len(self._tokens)) - 1]

    def take(self) -> Token:
        """Read the next token; the one of kind `eof` again and again."""
        token = self.peek
        self._next += 1
        return token

    def back(self) -> None:
        """Unread the token that was read last."""
        self._next -= 1

    def accept(self, *kinds: str) -> Token | None:
        """Read the next token if it is of one of the kinds."""
        return self.take() if self.peek.kind in kinds else None

    def expect(self, context: str, *kinds: str) -> Token:
        """Read the next token, which must be of one of the kinds. Raises QuerySyntaxError."""
        token = self.accept(*kinds)
        if token is None:
            raise self.unexpected(context, " or ".join(kind if kind.isalpha() else repr(kind) for kind in kinds))
        return token

    def unexpected(self, context: str, expected: str) -> QuerySyntaxError:
        """The error that says what stands there, in which context, and what should."""
        inside = f" in {context}" if context else ""
        return QuerySyntaxError(f"unexpected {self.peek}{inside}, expected {expected}", position=self.peek.start)
