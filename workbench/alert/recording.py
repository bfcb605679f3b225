"""Recording rules: what an expression gives becomes samples of a series of its own, staleness markers included.

Semantics of Prometheus 3: samples bear the time of the evaluation's slot, less the group's `query_offset`; what a rule
gave before and does not give now gets a staleness marker; the markers of a rule that is gone are written at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from workbench.alert.rules import RecordingRule, RuleGroup
from workbench.errors import InputError

Labels = tuple[tuple[str, str], ...]
"""A label set with the name: pairs sorted by name, without empty values."""


Histogram = Mapping[str, Any]
"""A native histogram, a value of `schema.NATIVE_HISTOGRAM`."""

Answer = tuple[Mapping[str, str], float | Histogram]
"""One element of what an expression gives: labels and value."""


class Recorded(NamedTuple):
    """A sample to be written; a stale one says that its series ended. Times are microseconds UTC."""

    labels: Labels
    time_us: int
    value: float | Histogram
    stale: bool = False


class Step(NamedTuple):
    """What the rule with a key gives at a time."""

    key: str
    time_us: int
    samples: Sequence[Recorded]


Write = Callable[[Sequence[Recorded]], None]
"""Writes samples; every question that is asked after it returned sees them."""


class Recorder:
    """Evaluates recording rules and writes their samples. Knows what each rule gave last; not thread-safe."""

    def __init__(self, evaluate: Callable[[Any, int], Sequence[Answer]], write: Write) -> None:
        self._evaluate = evaluate
        self._write = write
        self._given: dict[str, frozenset[Labels]] = {}

    def apply(self, group: RuleGroup, rule: RecordingRule, slot_us: int) -> int:
        """Evaluate a rule of a group for a slot; how many samples it gave. What it raises leaves it as it was."""
        time_us = slot_us - group.query_offset_us
        elements = self._evaluate(rule.query, time_us)
        if group.limit and len(elements) > group.limit:
            raise InputError(f"exceeded limit of {group.limit} with {len(elements)} series")
        given, samples = record_step(rule, self._given.get(rule.key, frozenset()), elements, time_us)
        if samples:
            self._write(samples)
        self._given[rule.key] = given
        return len(elements)

    def follow(self, steps: Sequence[Step]) -> None:
        """Write what rules give at once; what one of them gave before and no rule gives now ends.

        What the writing raises leaves all as it was.
        """
        after = {**self._given, **{one.key: frozenset(sample.labels for sample in one.samples) for one in steps}}
        kept = frozenset().union(*after.values())
        samples = [sample for one in steps for sample in one.samples]
        for one in steps:
            samples += [_ended(labels, one.time_us) for labels in sorted(self._given.get(one.key, frozenset()) - kept)]
        if samples:
            self._write(samples)
        self._given = after

    def resume(self, steps: Iterable[Step]) -> None:
        """What rules gave in the process before this one: it ends where they give it no more."""
        for one in steps:
            self._given[one.key] = frozenset(sample.labels for sample in one.samples)

    def forget(self, kept: Iterable[str], time_us: int) -> None:
        """End the series of rules that are gone: of all but those with the keys that are kept."""
        gone = self._given.keys() - set(kept)
        series = frozenset().union(*(self._given[key] for key in gone))
        # What another rule still gives goes on.
        series -= frozenset().union(*(given for key, given in self._given.items() if key not in gone))
        if series:
            self._write([_ended(labels, time_us) for labels in sorted(series)])
        for key in gone:
            del self._given[key]


def record_step(
    rule: RecordingRule,
    before: frozenset[Labels],
    elements: Sequence[Answer],
    time_us: int,
) -> tuple[frozenset[Labels], list[Recorded]]:
    """The series that a rule gives now, and the samples to write, after what it gave before. Pure.

    Raises InputError where two elements get the same labels.
    """
    over = {"__name__": rule.record, **dict(rule.labels)}
    samples: list[Recorded] = []
    given: set[Labels] = set()
    for own, value in elements:
        labels = tuple(sorted((name, text) for name, text in {**own, **over}.items() if text))
        if labels in given:
            raise InputError("two elements have the same labels", where=rule.key, hint="Keep a label that differs.")
        given.add(labels)
        samples.append(Recorded(labels, time_us, value))
    samples += [_ended(labels, time_us) for labels in sorted(before - given)]
    return frozenset(given), samples


def _ended(labels: Labels, time_us: int) -> Recorded:
    return Recorded(labels, time_us, 0.0, stale=True)
