"""Whose turn it is: rule groups at their intervals, each slot once, and how many slots were missed."""

from __future__ import annotations

from prometheus_client import Counter

from workbench.alert.rules import RuleGroup

PROMPT_US = 1_000_000
"""Groups of this interval or less are evaluated at every tick, and the hub ticks when samples arrive, too."""

MISSED = Counter("workbench_rule_group_iterations_missed_total", "Evaluations that came too late", ["group"])


class GroupTurns:
    """Deterministic: the clock is an argument. Slots are whole multiples of a group's interval since 1970."""

    def __init__(self, default_interval_us: int) -> None:
        self._default_us = default_interval_us
        self._slots: dict[tuple[str, str], int] = {}

    def interval_us(self, group: RuleGroup) -> int:
        """How often a group is evaluated."""
        return group.interval_us or self._default_us

    def is_due(self, group: RuleGroup, now_us: int) -> bool:
        """Whether alerts of the group are to be evaluated now."""
        return self.interval_us(group) <= PROMPT_US or self._next(group, now_us) is not None

    def slot_us(self, group: RuleGroup, now_us: int) -> int | None:
        """The slot that recording rules are to be evaluated for; None if it was taken already."""
        return self._next(group, now_us)

    def take(self, group: RuleGroup, now_us: int) -> None:
        """The slot of now was evaluated. Those before it that nobody took are counted as missed."""
        slot_us, interval_us = self._slot(group, now_us), self.interval_us(group)
        before_us = self._slots.get(_key(group))
        if before_us is not None and slot_us - before_us > interval_us:
            MISSED.labels(f"{group.file};{group.name}").inc((slot_us - before_us) // interval_us - 1)
        self._slots[_key(group)] = slot_us

    def _next(self, group: RuleGroup, now_us: int) -> int | None:
        # A clock that was set back must not stop a group until it has caught up: any other slot is a new one.
        slot_us = self._slot(group, now_us)
        return None if self._slots.get(_key(group)) == slot_us else slot_us

    def _slot(self, group: RuleGroup, now_us: int) -> int:
        interval_us = self.interval_us(group)
        return now_us // interval_us * interval_us


def _key(group: RuleGroup) -> tuple[str, str]:
    return str(group.file), group.name
