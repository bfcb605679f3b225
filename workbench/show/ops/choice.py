"""What an operator chose: section, span of time, labels, comparison. It is the address, so a view can be sent on.

`parse_choice` and `Choice.query_string` are each other's inverse; `apply` says what a step of the operator (a deed, as
the page sends it) makes of a choice. Nothing in here reads a clock, the data or the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from workbench.show.filters import VALUE_CHARS_MAX, VALUES_MAX, Filters, Span, format_instant, parse_filters
from workbench.show.spec import Dashboard, Section, Tile, TileQuery
from workbench.show.units import format_duration

COMPARISONS = {
    "previous": "the time before",
    "day": "the same time a day before",
    "week": "the same time a week before",
    "off": "nothing",
}
"""What a span can be compared with, by its name in the address."""

FACETS = {
    "job": "Component",
    "host_name": "Host",
    "synth_domain": "Domain",
    "synth_segment": "User segment",
    "http_route": "Route",
    "gen_ai_request_model": "Model",
}
"""The labels that an operator can pick values of, and what they are called."""

EXPLORE = "explore"
EXPR_CHARS_MAX = 2_000
SHORTEST_US = 10_000_000
_DAY_US = 86_400_000_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Picks = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Choice:
    """`section` is the slug of a section; `filters` holds the span alone; `picks` are (label, values), both sorted.

    `expr` is the operator's own PromQL, which the section EXPLORE draws.
    """

    section: str
    filters: Filters
    compare: str = "previous"
    picks: Picks = ()
    expr: str = ""

    @property
    def fixed(self) -> bool:
        """Whether a window was brushed; otherwise the span ends now and moves."""
        return self.filters.fixed

    def picked(self, label: str) -> tuple[str, ...]:
        """The values picked of a label; empty means all."""
        return dict(self.picks).get(label, ())

    def toggled(self, label: str, value: str) -> Choice:
        """The same with one value more, or one less."""
        values = set(self.picked(label)) ^ {value}
        picks = {**dict(self.picks), label: tuple(sorted(values))}
        return replace(self, picks=_sorted(picks))

    def before(self, span: Span) -> Span | None:
        """The span to compare with, on the same grid of times; None where nothing is compared."""
        if self.compare == "off":
            return None
        length = span.end_us - span.start_us + span.step_us
        shift = {"previous": length, "day": _DAY_US, "week": 7 * _DAY_US}[self.compare]
        return Span(span.start_us - shift, span.end_us - shift, span.step_us)

    def before_words(self) -> str:
        """What the span is compared with, as it stands in a sentence: `the hour before`; empty where nothing is."""
        if self.compare != "previous":
            return "" if self.compare == "off" else COMPARISONS[self.compare]
        seconds = float(self.filters.range_seconds)
        if self.filters.from_us is not None and self.filters.to_us is not None:
            seconds = (self.filters.to_us - self.filters.from_us) / 1e6
        return f"the {_length_words(seconds).removeprefix('1 ')} before"

    def query_string(self) -> str:
        """The part of the address after `?`; defaults are left out where they are everybody's."""
        pairs = [("section", self.section), *parse_qsl(self.filters.query_string()), ("compare", self.compare)]
        pairs += [(label, value) for label, values in self.picks for value in values]
        return urlencode([*pairs, ("expr", self.expr)] if self.expr else pairs)


def sections_of(board: Dashboard, choice: Choice) -> dict[str, Section]:
    """The sections by their slugs: those of the board, and one with the operator's own query."""
    own = Tile(EXPLORE, "timeseries", "Your query", queries=(TileQuery(choice.expr),) if choice.expr else ())
    explore = Section("Explore", (own,), "Any PromQL over all that is measured; the filters act on it.")
    return {**{slug(section): section for section in board.sections}, EXPLORE: explore}


def slug(section: Section) -> str:
    """The name of a section in an address."""
    return re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")


def parse_choice(board: Dashboard, query: Iterable[tuple[str, str]]) -> tuple[Choice, list[str]]:
    """The choice that an address states, and in words what could not be read; that is left at its default."""
    pairs = list(query)
    filters, faults = parse_filters(board, [pair for pair in pairs if pair[0] in ("range", "from", "to")])
    single = dict(pairs)
    slugs = [*(slug(section) for section in board.sections), EXPLORE]
    section = single.get("section", slugs[0])
    if section not in slugs:
        faults.append(f"There is no section “{section[:40]}”; showing {board.sections[0].title}.")
        section = slugs[0]
    compare = single.get("compare", "previous")
    if compare not in COMPARISONS:
        faults.append(f"“{compare[:40]}” is nothing to compare with; comparing with the time before.")
        compare = "previous"
    picks: dict[str, tuple[str, ...]] = {}
    for label, name in FACETS.items():
        values = sorted({value for key, value in pairs if key == label and value})
        good = [value for value in values if len(value) <= VALUE_CHARS_MAX and not _CONTROL.search(value)]
        if len(good) < len(values) or len(good) > VALUES_MAX:
            faults.append(f"Some values of {name} were left out: too many, too long, or not printable.")
        picks[label] = tuple(good[:VALUES_MAX])
    expr = single.get("expr", "").strip()
    if len(expr) > EXPR_CHARS_MAX or re.search(r"[\x00-\x08\x0e-\x1f\x7f]", expr):
        faults.append(f"The query was left out: longer than {EXPR_CHARS_MAX} characters, or not printable.")
        expr = ""
    return Choice(section, replace(filters, values=()), compare, _sorted(picks), expr), faults


def apply(board: Dashboard, choice: Choice, deed: Mapping[str, Any], now_us: int) -> tuple[Choice, list[str]]:
    """What a deed makes of a choice, and what was wrong with it. A deed that is not understood changes nothing.

    Deeds: go {query}, set {name, value}, toggle {label, value}, clear {label}, brush {from_us, to_us}, move {spans},
    zoom {factor}, now, explore {expr}.
    """
    what = deed.get("deed")
    if what == "go":
        return parse_choice(board, parse_qsl(str(deed.get("query", ""))[:8_000].lstrip("?")))
    if what == "set" and deed.get("name") in ("section", "compare", "range"):
        pairs = [pair for pair in parse_qsl(choice.query_string()) if pair[0] != deed["name"]]
        if deed["name"] == "range":
            pairs = [pair for pair in pairs if pair[0] not in ("from", "to")]
        return parse_choice(board, [*pairs, (str(deed["name"]), str(deed.get("value", "")))])
    if what == "explore":
        pairs = [pair for pair in parse_qsl(choice.query_string()) if pair[0] not in ("expr", "section")]
        return parse_choice(board, [*pairs, ("section", EXPLORE), ("expr", str(deed.get("expr", "")))])
    if what == "toggle" and deed.get("label") in FACETS:
        toggled = choice.toggled(str(deed["label"]), str(deed.get("value", "")))
        return parse_choice(board, parse_qsl(toggled.query_string()))
    if what == "clear" and deed.get("label") in (*FACETS, ""):
        kept = {label: values for label, values in choice.picks if deed["label"] and label != deed["label"]}
        return replace(choice, picks=_sorted(kept)), []
    return replace(choice, filters=_moved(choice.filters, deed, now_us)), []


def _moved(filters: Filters, deed: Mapping[str, Any], now_us: int) -> Filters:
    """The span that a deed asks for; where it makes no sense, the one that was."""
    what = deed.get("deed")
    if what == "now":
        return replace(filters, from_us=None, to_us=None)
    if what == "brush":
        start, end = _number(deed.get("from_us")), _number(deed.get("to_us"))
        return filters if start is None or end is None else _window(filters, min(start, end), max(start, end), now_us)
    if what == "move" and _number(deed.get("spans")) in (-1, 1):
        return filters.moved(now_us, int(deed["spans"]))
    if what == "zoom" and _number(deed.get("factor")) in (0.5, 2):
        span = filters.span(now_us)
        start, end = (filters.from_us, filters.to_us) if filters.fixed else (span.start_us, span.end_us)
        assert start is not None
        assert end is not None
        middle, half = (start + end) / 2, (end - start) * float(deed["factor"]) / 2
        return _window(filters, middle - half, middle + half, now_us)
    return filters


def _window(filters: Filters, start_us: float, end_us: float, now_us: int) -> Filters:
    """A fixed window in whole seconds, no shorter than SHORTEST_US, no longer than a year, not in the future."""
    end = min(int(end_us), now_us) // 1_000_000 * 1_000_000
    start = max(int(start_us) // 1_000_000 * 1_000_000, end - 366 * _DAY_US, 0)
    if end - start < SHORTEST_US:
        start = max(end - SHORTEST_US, 0)
    return replace(filters, from_us=start, to_us=end) if end - start >= SHORTEST_US else filters


def _number(value: Any) -> float | None:
    return (
        float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 4e15 else None
    )


def _length_words(seconds: float) -> str:
    """A length of time, rounded where nobody would count: `17 minutes`, `5.2 hours`."""
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size and seconds % size:
            return f"{seconds / size:.2g} {name}"
    return format_duration(seconds)


def _sorted(picks: Mapping[str, tuple[str, ...]]) -> Picks:
    return tuple((label, values) for label, values in sorted(picks.items()) if values)


def range_words(span: Span) -> str:
    """A fixed span for people: `24 Nov 08:00:00 to 24 Nov 09:00:00 UTC`."""
    return f"{format_instant(span.start_us).replace('T', ' ')} to {format_instant(span.end_us).replace('T', ' ')} UTC"
