"""A dashboard as a short YAML file.

`load_dashboard` reads one and reports every fault at once, each with its line; an unknown key names the nearest one.
The format is described in `docs/show.md`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from workbench.errors import ConfigError, QueryError
from workbench.show.units import UNITS

TileKind = Literal["stat", "timeseries", "table", "alerts", "text"]
TILE_KINDS: tuple[TileKind, ...] = ("stat", "timeseries", "table", "alerts", "text")

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)")
_SIZES = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A variable may stand as a whole matcher value or as the width of a window, and nowhere else.
_MATCHER_VARIABLE = re.compile(r'=~\s*"\$([a-z][a-z0-9_]*)"')
_WINDOW_VARIABLE = re.compile(r"\[\s*\$window\s*\]")


@dataclass(frozen=True)
class Thresholds:
    """Where a value becomes noteworthy; `above` says on which side of the bounds the trouble lies."""

    warn: float | None = None
    critical: float | None = None
    above: bool = True

    def level(self, value: float | None) -> str:
        """`ok`, `warn` or `critical`; empty where no bound is set or no value is known."""
        if value is None or (self.warn is None and self.critical is None):
            return ""
        sign = 1.0 if self.above else -1.0
        for name, bound in (("critical", self.critical), ("warn", self.warn)):
            if bound is not None and sign * value >= sign * bound:
                return name
        return "ok"


@dataclass(frozen=True)
class TileQuery:
    """One PromQL expression and how its series are called: text with `{{label}}` in it."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Tile:
    """One box of a dashboard. `window_seconds` is the least width of `$window`, `maximum` pins the top of the axis."""

    id: str
    kind: TileKind
    title: str
    description: str = ""
    queries: tuple[TileQuery, ...] = ()
    unit: str = ""
    window_seconds: int = 60
    thresholds: Thresholds = Thresholds()
    maximum: float | None = None
    limit: int = 12
    text: str = ""
    notebook: str = ""


@dataclass(frozen=True)
class Section:
    """A titled group of tiles."""

    title: str
    tiles: tuple[Tile, ...]
    description: str = ""


@dataclass(frozen=True)
class Choice:
    """A filter: the variable `$name` in expressions; its options are listed or are the values of a label of a query."""

    name: str
    label: str
    options: tuple[str, ...] = ()
    options_expr: str = ""
    options_label: str = ""


@dataclass(frozen=True)
class Ranges:
    """The time ranges offered, and the one a visitor starts with; seconds."""

    default_seconds: int = 3600
    offered_seconds: tuple[int, ...] = (300, 900, 3600, 21600, 86400, 604800, 2592000, 5184000)


@dataclass(frozen=True)
class Dashboard:
    """A dashboard as its file describes it."""

    name: str
    title: str
    description: str
    ranges: Ranges
    choices: tuple[Choice, ...]
    sections: tuple[Section, ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, in reading order."""
        return tuple(tile for section in self.sections for tile in section.tiles)


def parse_duration(text: str) -> int | None:
    """Seconds of `30s`, `5m`, `1h`, `60d`; None where the text is no such duration."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _SIZES[match[2]] if match else None


def load_dashboard(path: Path) -> Dashboard:
    """Read one dashboard file. Raises ConfigError that lists every fault as `line N: …`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{line}not valid YAML: {problem}", where=str(path)) from error
    reader = _Reader()
    dashboard = reader.dashboard(path.stem, node)
    if reader.faults:
        lines = "\n".join(f"  line {line}: {message}" for line, message in sorted(reader.faults))
        count = len(reader.faults)
        raise ConfigError(f"{count} fault{'s' if count > 1 else ''}\n{lines}\n", where=str(path))
    return dashboard


class _Reader:
    """Walks YAML nodes, which know their lines, and collects faults instead of stopping at the first."""

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []
        self._variables: set[str] = set()
        self._ids: dict[str, int] = {}

    def fault(self, node: Any, message: str) -> None:
        line = node.start_mark.line + 1 if node is not None else 1
        self.faults.append((line, message))

    def mapping(self, node: Any, known: tuple[str, ...], required: tuple[str, ...] = ()) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, f"expected a mapping with {', '.join(known)}")
            return {}
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
                self.fault(key_node, f"unknown key {key!r}; did you mean {near[0]!r}?")
            elif key in found:
                self.fault(key_node, f"{key!r} stands here twice")
            else:
                found[key] = value_node
        for key in required:
            if key not in found:
                self.fault(node, f"{key!r} is missing")
        return found

    def items(self, node: Any, what: str) -> list[Any]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.fault(node, f"{what} must be a list")
            return []
        return list(node.value)

    def text(self, node: Any, what: str, default: str = "") -> str:
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, f"{what} must be text")
            return default
        return str(node.value).strip()

    def one_of(self, node: Any, what: str, allowed: tuple[str, ...], default: str) -> str:
        text = self.text(node, what, default)
        if text not in allowed:
            near = difflib.get_close_matches(text, [name for name in allowed if name], n=1, cutoff=0.0)
            self.fault(node, f"{what} {text!r} is not known; did you mean {near[0]!r}?")
            return default
        return text

    def number(self, node: Any, what: str) -> float | None:
        if node is None:
            return None
        try:
            return float(self.text(node, what))
        except ValueError:
            self.fault(node, f"{what} must be a number, not {node.value!r}")
            return None

    def seconds(self, node: Any, what: str, default: int) -> int:
        if node is None:
            return default
        found = parse_duration(self.text(node, what))
        if not found:
            self.fault(node, f"{what} must be a duration such as 30s, 5m, 1h or 7d, not {node.value!r}")
            return default
        return found

    def identifier(self, node: Any, what: str) -> str:
        text = self.text(node, what)
        if node is not None and not _IDENTIFIER.fullmatch(text):
            self.fault(node, f"{what} must be lower-case letters, digits and _, at most 40, not {text[:60]!r}")
        return text

    def expr(self, node: Any) -> str:
        text = self.text(node, "expr")
        if node is None:
            return text
        free = _WINDOW_VARIABLE.sub("[1m]", text)
        for name in _MATCHER_VARIABLE.findall(text):
            if name not in self._variables:
                known = ", ".join(f"${variable}" for variable in sorted(self._variables)) or "none are declared"
                self.fault(node, f"variable ${name} is not declared under filters ({known})")
        free = _MATCHER_VARIABLE.sub('=~".*"', free)
        if "$" in free:
            self.fault(node, 'a variable may only stand as `label=~"$name"` or `[$window]`')
            return text
        self._syntax(node, free)
        return text

    def _syntax(self, node: Any, expr: str) -> None:
        from workbench.query import parse

        try:
            parse(expr)
        except QueryError as error:
            self.fault(node, f"expr does not parse: {error}")

    def dashboard(self, name: str, node: Any) -> Dashboard:
        body = self.mapping(node, ("title", "description", "filters", "sections"), ("title", "sections"))
        ranges, choices = self.filters(body.get("filters"))
        self._variables = {choice.name for choice in choices}
        sections = tuple(self.section(item) for item in self.items(body.get("sections"), "sections"))
        title = self.text(body.get("title"), "title")
        description = self.text(body.get("description"), "description")
        return Dashboard(name, title, description, ranges, choices, sections)

    def filters(self, node: Any) -> tuple[Ranges, tuple[Choice, ...]]:
        if node is None:
            return Ranges(), ()
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, "filters must be a mapping: range, and one entry per variable")
            return Ranges(), ()
        ranges, choices = Ranges(), []
        for key_node, value_node in node.value:
            if key_node.value == "range":
                ranges = self.ranges(value_node)
            elif key_node.value in ("from", "to", "window"):
                self.fault(key_node, f"{key_node.value!r} is taken: it is part of every page's address")
            else:
                choices.append(self.choice(self.identifier(key_node, "the name of a filter"), value_node))
        return ranges, tuple(choices)

    def ranges(self, node: Any) -> Ranges:
        body = self.mapping(node, ("default", "offered"))
        default = self.seconds(body.get("default"), "default", Ranges().default_seconds)
        offered = tuple(self.seconds(item, "a range", 0) for item in self.items(body.get("offered"), "offered"))
        return Ranges(default, tuple(sorted({*(offered or Ranges().offered_seconds), default} - {0})))

    def choice(self, name: str, node: Any) -> Choice:
        body = self.mapping(node, ("label", "options", "options_expr", "options_label"))
        options = tuple(self.text(item, "an option") for item in self.items(body.get("options"), "options"))
        expr = self.expr(body.get("options_expr"))
        label = self.text(body.get("options_label"), "options_label")
        if bool(expr) != bool(label):
            self.fault(node, "options_expr and options_label belong together")
        return Choice(name, self.text(body.get("label"), "label", name.capitalize()), options, expr, label)

    def section(self, node: Any) -> Section:
        body = self.mapping(node, ("title", "description", "tiles"), ("title", "tiles"))
        tiles = tuple(self.tile(item) for item in self.items(body.get("tiles"), "tiles"))
        description = self.text(body.get("description"), "description")
        return Section(self.text(body.get("title"), "title"), tiles, description)

    def tile(self, node: Any) -> Tile:
        body = self.mapping(node, tuple(_TILE_KEYS), ("id", "type", "title"))
        kind: Any = self.one_of(body.get("type"), "type", TILE_KINDS, "text")
        for key, value in body.items():
            if kind not in _TILE_KEYS[key]:
                self.fault(value, f"a tile of type {kind} has no {key!r}")
        identifier = self.identifier(body.get("id"), "id")
        if identifier in self._ids:
            self.fault(body["id"], f"id {identifier!r} is used twice, first in line {self._ids[identifier]}")
        elif identifier:
            self._ids[identifier] = body["id"].start_mark.line + 1
        queries = self.queries(node, body, kind)
        maximum = self.number(body.get("maximum"), "maximum")
        limit = self.number(body.get("limit"), "limit")
        if limit is not None and not (1 <= limit <= 50 and limit == int(limit)):
            self.fault(body["limit"], "limit must be a whole number from 1 to 50")
        text: Callable[[str], str] = lambda key: self.text(body.get(key), key)  # noqa: E731
        return Tile(
            id=identifier,
            kind=kind,
            title=text("title"),
            description=text("description"),
            queries=queries,
            unit=self.one_of(body.get("unit"), "unit", UNITS, ""),
            window_seconds=self.seconds(body.get("window"), "window", 60),
            thresholds=self.thresholds(body.get("thresholds")),
            maximum=maximum,
            limit=int(limit or 12),
            text=text("text"),
            notebook=text("notebook"),
        )

    def queries(self, node: Any, body: Mapping[str, Any], kind: str) -> tuple[TileQuery, ...]:
        if kind in ("alerts", "text"):
            return ()
        if ("expr" in body) == ("queries" in body):
            self.fault(node, "a tile needs either expr (with legend) or queries")
            return ()
        if "expr" in body:
            return (TileQuery(self.expr(body["expr"]), self.text(body.get("legend"), "legend")),)
        found = []
        for item in self.items(body["queries"], "queries"):
            parts = self.mapping(item, ("expr", "legend"), ("expr",))
            found.append(TileQuery(self.expr(parts.get("expr")), self.text(parts.get("legend"), "legend")))
        return tuple(found)

    def thresholds(self, node: Any) -> Thresholds:
        if node is None:
            return Thresholds()
        body = self.mapping(node, ("warn", "critical", "side"))
        side = self.one_of(body.get("side"), "side", ("above", "below"), "above")
        warn, critical = (self.number(body.get(key), key) for key in ("warn", "critical"))
        return Thresholds(warn, critical, side == "above")


_DATA = ("stat", "timeseries", "table")
# Key of a tile -> the types of tile that have it.
_TILE_KEYS: dict[str, tuple[str, ...]] = {
    "id": TILE_KINDS,
    "type": TILE_KINDS,
    "title": TILE_KINDS,
    "description": TILE_KINDS,
    "expr": _DATA,
    "legend": _DATA,
    "queries": _DATA,
    "unit": _DATA,
    "window": _DATA,
    "notebook": _DATA,
    "thresholds": ("stat", "timeseries"),
    "maximum": ("timeseries",),
    "limit": ("timeseries", "table"),
    "text": ("text",),
}
