"""What a visitor chose: a span of time and one value or several per filter. It lives in the page's address alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from workbench.show.spec import Dashboard, Tile, parse_duration

POINTS_MAX = 400
VALUES_MAX = 20
VALUE_CHARS_MAX = 200
# A chart that draws a point a minute or more gains from each new sample; a coarser one does not.
LIVE_STEP_SECONDS_MAX = 60
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_YEAR_SECONDS = 366 * 86400
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Span:
    """A stretch of time on a grid; microseconds. `start` and `end` are multiples of `step`."""

    start_us: int
    end_us: int
    step_us: int


@dataclass(frozen=True)
class Filters:
    """A visitor's choice; equal choices are equal objects, so viewers of the same can share one evaluation."""

    range_seconds: int
    from_us: int | None = None
    to_us: int | None = None
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether the span is nailed down; otherwise it ends now and moves."""
        return self.from_us is not None and self.to_us is not None

    @property
    def step_seconds(self) -> int:
        """The least step of the ladder that keeps a chart within POINTS_MAX points."""
        length = (self.to_us - self.from_us) / 1e6 if self.from_us and self.to_us else self.range_seconds
        return next((step for step in _STEPS if length / step <= POINTS_MAX), _STEPS[-1])

    @property
    def live(self) -> bool:
        """Whether charts take each new sample."""
        return not self.fixed and self.step_seconds <= LIVE_STEP_SECONDS_MAX

    def span(self, now_us: int) -> Span:
        """The grid of the charts when it is `now_us`."""
        step_us = self.step_seconds * 1_000_000
        end = self.to_us if self.to_us is not None and self.fixed else now_us
        start = self.from_us if self.from_us is not None and self.fixed else now_us - self.range_seconds * 1_000_000
        return Span(-(-start // step_us) * step_us, end // step_us * step_us, step_us)

    def moved(self, now_us: int, spans: int) -> Filters:
        """The same choice so many spans earlier (negative) or later; past the present it follows the present again."""
        span = self.span(now_us)
        start_us, end_us = (self.from_us, self.to_us) if self.fixed else (span.start_us, span.end_us)
        assert start_us is not None
        assert end_us is not None
        length = end_us - start_us
        if end_us + spans * length > now_us:
            return replace(self, from_us=None, to_us=None)
        return replace(self, from_us=max(start_us + spans * length, 0), to_us=max(end_us + spans * length, length))

    def query_string(self) -> str:
        """The part of the address after `?`."""
        pairs: list[tuple[str, str]] = [("range", format_range(self.range_seconds))]
        if self.from_us is not None and self.to_us is not None:
            pairs += [("from", format_instant(self.from_us)), ("to", format_instant(self.to_us))]
        pairs += [(name, value) for name, values in self.values for value in values]
        return urlencode(pairs)

    def chosen(self, name: str) -> tuple[str, ...]:
        """The values chosen for one filter; empty means all."""
        return dict(self.values).get(name, ())

    def fill(self, expr: str, tile: Tile | None, *, charts: bool) -> str:
        """An expression of the dashboard with its variables replaced.

        A filter's values become one anchored alternation inside a quoted string, each escaped first for the regular
        expression and then for the string, so no value can end the matcher. `$window` is the tile's own width, and in
        a chart at least one step, so that no sample falls between two points.
        """
        least = tile.window_seconds if tile else 60
        width = max(least, self.step_seconds) if charts else least
        chosen = dict(self.values)

        def matcher(found: re.Match[str]) -> str:
            return f'=~"{_quote(_alternation(chosen.get(found[1], ())))}"'

        filled = re.sub(r'=~\s*"\$([a-z][a-z0-9_]*)"', matcher, expr)
        return re.sub(r"\[\s*\$window\s*\]", f"[{width}s]", filled)


def parse_filters(dashboard: Dashboard, query: Iterable[tuple[str, str]]) -> tuple[Filters, list[str]]:
    """The choice that an address states, and what was wrong with it, in words; what is wrong is left at its default."""
    faults: list[str] = []
    single: dict[str, str] = {}
    values: dict[str, list[str]] = {choice.name: [] for choice in dashboard.choices}
    for name, text in query:
        if name in values:
            if text:
                values[name].append(text)
        elif name in ("range", "from", "to"):
            single[name] = text
    range_seconds = dashboard.ranges.default_seconds
    if single.get("range"):
        found = parse_duration(single["range"])
        if found and found <= _YEAR_SECONDS:
            range_seconds = found
        else:
            faults.append(
                f"“{single['range'][:40]}” is not a time range; showing the last {format_range(range_seconds)}."
            )
    from_us, to_us = _fixed_span(single, faults)
    kept = tuple((name, _checked(name, found, faults)) for name, found in sorted(values.items()) if found)
    return Filters(range_seconds, from_us, to_us, tuple((name, found) for name, found in kept if found)), faults


def format_range(seconds: int) -> str:
    """`3600` -> `1h`: the longest unit that divides it."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size}{name}"
    return f"{seconds}s"


def format_instant(time_us: int) -> str:
    """An instant as `2026-11-24T08:00:00`, UTC."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _fixed_span(single: Mapping[str, str], faults: list[str]) -> tuple[int | None, int | None]:
    texts = single.get("from", ""), single.get("to", "")
    if not any(texts):
        return None, None
    if not all(texts):
        faults.append("A fixed span needs both from and to; showing the latest data.")
        return None, None
    instants = [_instant(text) for text in texts]
    for text, instant in zip(texts, instants, strict=True):
        if instant is None:
            faults.append(f"“{text[:40]}” is not a time; write 2026-11-24T08:00 (UTC) or seconds since 1970.")
    start, end = instants
    if start is None or end is None:
        return None, None
    if not 2_000_000 <= end - start <= _YEAR_SECONDS * 1_000_000:
        faults.append("The span from–to must be between two seconds and a year long; showing the latest data.")
        return None, None
    return start, end


def _instant(text: str) -> int | None:
    try:
        seconds = float(text)
        return int(seconds) * 1_000_000 if 0 <= seconds < 4e9 else None
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000 if 1970 <= moment.year < 2100 else None


def _checked(name: str, found: list[str], faults: list[str]) -> tuple[str, ...]:
    good = [text for text in found if len(text) <= VALUE_CHARS_MAX and not _CONTROL.search(text)]
    if len(good) < len(found):
        faults.append(f"A value of {name} was left out: longer than {VALUE_CHARS_MAX} characters, or not printable.")
    if len(good) > VALUES_MAX:
        faults.append(f"Only the first {VALUES_MAX} values of {name} are used.")
    return tuple(sorted(set(good[:VALUES_MAX])))


def _alternation(values: tuple[str, ...]) -> str:
    return "|".join(re.escape(value) for value in values) if values else ".*"


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
