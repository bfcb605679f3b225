"""The rules of `[[lifecycle]]` in `workbench.toml`: which rows they speak of, how long these are kept, where; holds.

They are read anew for every round, so a hold is in force without a restart. A file with a fault lets nothing go at all.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import LIFECYCLE, Settings
from workbench.errors import ConfigError
from workbench.schema import TABLES, Kind
from workbench.store.registry import Series
from workbench.store.rows import DAY_US

EVER_US = -(2**62)
SIMULATED = ("deployment.environment.name", "simulated")


@dataclass(frozen=True)
class Rule:
    """One rule. Of samples and roll-ups it speaks of the series whose name and attributes match, else of the table.

    `metric` and the values of `labels` are patterns with `*` and `?` for the names as they were stored; `keep_days` 0
    means for ever, -1 that the rule says nothing of it; `archive_after_days` 0 that nothing is archived. `hold` names
    the reason why nothing of it may go.
    """

    name: str
    table: str = "samples"
    metric: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)
    keep_days: int = -1
    archive_after_days: int = 0
    archive: str = ""
    hold: str = ""

    @property
    def whole(self) -> bool:
        """Whether it speaks of the table as a whole."""
        return self.metric == "*" and not self.labels

    def matches(self, series: Series) -> bool:
        """Whether it speaks of a series."""
        known = dict((*series.identity.resource, *series.identity.attributes))
        return fnmatch.fnmatchcase(series.identity.name, self.metric) and all(
            fnmatch.fnmatchcase(known.get(name, ""), pattern) for name, pattern in self.labels.items()
        )


@dataclass(frozen=True)
class Group:
    """Series of one table that are treated alike: by which rule, let go before when; `ids` int64, ascending."""

    name: str
    before_us: int
    ids: np.ndarray


def read_rules(settings: Settings) -> tuple[Rule, ...]:
    """The rules of a home, in their order. Raises ConfigError, naming the rule."""
    file = settings.home / "workbench.toml"
    if not file.exists():
        return ()
    found = tomllib.loads(file.read_text(encoding="utf-8")).get(LIFECYCLE, [])
    if not isinstance(found, list):
        raise ConfigError("lifecycle must be a list of tables", where=str(file), hint="Write [[lifecycle]].")
    return tuple(_rule(body, f"{file}: [[lifecycle]] {number}") for number, body in enumerate(found, 1))


def _rule(body: Mapping[str, Any], where: str) -> Rule:
    known = {one.name: one.type for one in fields(Rule)}
    for name, value in body.items():
        if name not in known:
            raise ConfigError(f"unknown key {name!r}", where=where, hint=f"There are {', '.join(known)}.")
        right: type = {"int": int, "str": str}.get(str(known[name]), dict)
        if type(value) is not right or (isinstance(value, dict) and not all(type(v) is str for v in value.values())):
            raise ConfigError(f"{name} must be {known[name]}, not {value!r}", where=where)
    if not body.get("name"):
        raise ConfigError("a rule needs a name", where=where)
    rule = Rule(**body)
    if rule.table not in TABLES:
        raise ConfigError(f"no table {rule.table!r}", where=where, hint=f"There are {', '.join(TABLES)}.")
    if not rule.whole and not TABLES[rule.table].by_series:
        raise ConfigError(f"{rule.table} has no series, so metric and labels say nothing", where=where)
    if bool(rule.archive) != (rule.archive_after_days > 0):
        raise ConfigError("archive and archive_after_days go together", where=where)
    if rule.archive and (not rule.whole or not Path(rule.archive).is_absolute()):
        hint = "Files hold many series: leave metric and labels out, and name the folder from the root."
        raise ConfigError("only whole tables are archived, into a folder", where=where, hint=hint)
    if rule.keep_days < -1 or (rule.keep_days == -1 and not rule.archive and not rule.hold):
        raise ConfigError("a rule says keep_days, archive or hold", where=where)
    return rule


def groups(kind: Kind, rules: Sequence[Rule], series: Sequence[Series], settings: Settings, now_us: int) -> list[Group]:
    """The series of a table by what lets them go; series that are held, or kept for ever, are in none.

    The first rule that matches and says how long decides; without one imported samples stay, simulated ones as long as
    settings say, all others as long as their kind.
    """
    found: dict[str, tuple[int, list[int]]] = {}
    mine = [rule for rule in rules if rule.table == kind.name]
    for one in series:
        if any(rule.hold and rule.matches(one) for rule in mine):
            continue
        name, days = _kept(kind, mine, one, settings)
        if days:
            found.setdefault(name, (now_us - days * DAY_US, []))[1].append(one.id)
    return [Group(name, before, np.unique(np.array(ids, np.int64))) for name, (before, ids) in found.items()]


def _kept(kind: Kind, rules: Sequence[Rule], series: Series, settings: Settings) -> tuple[str, int]:
    """The name of what decides, and for how many days (0: for ever)."""
    for rule in rules:
        if rule.keep_days >= 0 and rule.matches(series):
            return rule.name, rule.keep_days
    if kind.name == "samples" and series.source.startswith("import:"):
        return "imported", 0
    if kind.name == "samples" and SIMULATED in series.identity.resource:
        return "simulated", settings.lake.simulated_samples_days
    return "default", kind.retention_days or 0


def table_bound(kind: Kind, rules: Sequence[Rule], now_us: int) -> tuple[str, int]:
    """What lets the rows of a table without series go, and before when; EVER_US if nothing does."""
    mine = [rule for rule in rules if rule.table == kind.name]
    held = [rule for rule in mine if rule.hold]
    name, days = next(
        ((rule.name, rule.keep_days) for rule in mine if rule.keep_days >= 0), ("default", kind.retention_days or 0)
    )
    return name, now_us - days * DAY_US if days and not held else EVER_US


def holds_on(rules: Sequence[Rule], series: Sequence[Series]) -> list[tuple[Rule, Series]]:
    """The holds that forbid to erase samples or roll-ups of some series."""
    return [(rule, one) for rule in rules if rule.hold for one in series if rule.matches(one)]
