"""Rules as data, and which rule files are in force.

What they mean: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/ (Prometheus 3.x).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.alert.templates import Template
from workbench.config import Settings

SHIPPED = Path(__file__).parent / "rules"


@dataclass(frozen=True)
class Rule:
    """One alerting rule. `query` is its parsed expression; durations are microseconds."""

    alert: str
    expr: str
    query: Any
    for_us: int
    keep_firing_us: int
    labels: tuple[tuple[str, Template], ...]
    annotations: tuple[tuple[str, Template], ...]
    key: str
    """What names the rule in the state: file, group, alert, and which of the rules of that name it is."""

    @property
    def name(self) -> str:
        """That of its alert."""
        return self.alert


@dataclass(frozen=True)
class RecordingRule:
    """One recording rule: what `query` gives is kept as series named `record`, with `labels` over its own."""

    record: str
    expr: str
    query: Any
    labels: tuple[tuple[str, str], ...]
    key: str
    """What names the rule: file, group, record, and which of the rules of that name it is."""

    @property
    def name(self) -> str:
        """That of its series."""
        return self.record


@dataclass(frozen=True)
class RuleGroup:
    """Rules that are evaluated together in their order, each `interval_us` (0: at the default).

    Over `limit` alerts or series a rule fails; their expressions are evaluated `query_offset_us` before now.
    """

    name: str
    file: Path
    interval_us: int
    limit: int
    rules: tuple[Rule | RecordingRule, ...]
    query_offset_us: int = 0


def rule_files(settings: Settings) -> list[Path]:
    """The rule files in force: ours, and those in the home, of which one replaces ours of the same name."""
    # Hidden files are an editor's: its locks dangle, its backups would double each rule.
    own = {
        file.name: file
        for pattern in ("*.yaml", "*.yml")
        for file in (settings.home / "rules").glob(pattern)
        if not file.name.startswith(".")
    }
    return [file for _, file in sorted({**shipped_files(), **own}.items())]


def shipped_files() -> dict[str, Path]:
    """Our own rule files by name."""
    return {file.name: file for file in SHIPPED.glob("*.yaml")}
