"""Label matchers as a rows policy: `{domain=~"science|arts"}` -> matchers, what they show, and which contain which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from workbench.errors import InputError, QuerySyntaxError
from workbench.query.promql import Matcher, nodes, parse

Matchers = tuple[Matcher, ...]
"""Conditions that all have to hold; none at all means: every row."""

_REMEMBERED = 65_536
_LITERAL_MAX = 1_000
_SPECIAL = frozenset("\\.+*?()[]{}^$")


def parse_matchers(text: str) -> Matchers:
    """Matchers in PromQL's syntax, braces included; `{}` is none. Raises InputError."""
    stripped = text.strip()
    if not stripped.startswith("{"):
        raise InputError("label matchers stand in braces", where=text[:80], hint='E.g. {domain=~"science|arts"}.')
    try:
        # With one more in front: PromQL wants at least one matcher that the empty text does not meet.
        node = parse('{_!="",' + stripped[1:])
    except QuerySyntaxError as error:
        raise InputError(error.message, where=text[:80], hint='E.g. {domain=~"science|arts"}.') from None
    if not isinstance(node, nodes.Selector) or node.when != nodes.NOW or node.extension:
        raise InputError("only label matchers can limit rows", where=text[:80], hint='E.g. {domain="science"}.')
    return canonical(node.matchers[1:])


def canonical(matchers: Iterable[Matcher]) -> Matchers:
    """The same conditions in one order, each once: equal limits are equal objects."""
    distinct = {(one.label, one.operator, one.value) for one in matchers}
    return tuple(Matcher(*parts) for parts in sorted(distinct))


def matchers_text(matchers: Sequence[Matcher]) -> str:
    """Matchers as `parse_matchers` reads them."""
    return "{" + ", ".join(map(str, matchers)) + "}"


def contains(wide: Sequence[Matcher], narrow: Sequence[Matcher]) -> bool:
    """Whether who sees the rows of `wide` sees all rows of `narrow`; False where that cannot be told from the matchers.

    Each condition of `wide` has to stand in `narrow` too, or to hold for every value that `narrow` lets its label have.
    """
    return all(_implied(condition, narrow) for condition in wide)


class Condition:
    """What matchers say about label sets. Their answers are remembered by value: a label has few, its series many."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self._parts: list[tuple[Matcher, dict[str, bool]]] = [(one, {}) for one in matchers]

    def shows(self, labels: Mapping[str, str] | Iterable[tuple[str, str]]) -> bool:
        """Whether a series with these labels is shown; as in PromQL, a label that is not there is the empty text."""
        found = dict(labels)
        return all(self._meets(part, known, found.get(part.label, "")) for part, known in self._parts)

    def shows_derived(self, labels: Mapping[str, str]) -> bool:
        """The same for what was made of series (an alert): a label that is not there may have been summed away."""
        return all(labels.get(part.label) for part, _ in self._parts) and self.shows(labels)

    @staticmethod
    def _meets(matcher: Matcher, known: dict[str, bool], value: str) -> bool:
        if value not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[value] = bool(matcher.matches((value,))[0])
        return known[value]


def _implied(condition: Matcher, given: Sequence[Matcher]) -> bool:
    for one in given:
        if one == condition:
            return True
        if one.label == condition.label:
            values = _possible(one)
            if values is not None and bool(condition.matches(values).all()):
                return True
    return False


def _possible(matcher: Matcher) -> list[str] | None:
    """All values that a matcher lets a label have; None where they cannot be listed."""
    if matcher.operator == "=":
        return [matcher.value]
    if matcher.operator == "=~" and not _SPECIAL & set(matcher.value):
        values = matcher.value.split("|")
        return values if len(values) <= _LITERAL_MAX else None
    return None
