"""From the bytes that name a series to its id: a cache in front of the registry, and who may write to what."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.config import Ingest
from workbench.ingest.byte_table import MISSING, ByteTable
from workbench.ingest.callers import ANONYMOUS, Caller
from workbench.ingest.identity_rules import check_identity
from workbench.ingest.points import Decoded, Member
from workbench.ingest.refusals import Refusal
from workbench.ingest.refused_series import RefusedSeries

if TYPE_CHECKING:
    from workbench.store import Identity, Writer


MAX_KEYS = 2**20
MAX_KEY_BYTES = 256 * 2**20
MAX_NEW_GROUPS = 50_000
"""In one request."""

SLICE_GROUPS = 1000
"""New groups that are judged at once: each costs some ten microseconds under the lock, which other senders wait for."""

REFUSED = -1


class SeriesBook:
    """Resolves the groups of a decoded request to ids, registering what is new; one for all doors, thread-safe.

    Callers with a token and anonymous ones have a cache each: being in it means that this kind of caller may write to
    the series. The anonymous one is forgotten whenever somebody with a token takes a series over.
    """

    def __init__(self, writer: Writer, limits: Ingest) -> None:
        self._writer = writer
        self._limits = limits
        self._lock = threading.Lock()
        self._known = {anonymous: _Cache() for anonymous in (False, True)}
        self._generation = 0
        self.refused = RefusedSeries()

    def resolve(
        self, decoded: Decoded, groups: np.ndarray, caller: Caller
    ) -> tuple[np.ndarray, np.ndarray, dict[int, Refusal]]:
        """Where the series of each group begin in an array of ids -> (int64[groups], ids, refusals by group).

        `groups` (int64, unique): those that are wanted. The others, and the refused, have REFUSED.
        """
        with self._lock:
            self._follow()
            cache = self._known[caller.anonymous]
            if cache.table.crowded:
                cache.clear()
            first = cache.table.find(decoded.words, decoded.starts)
            members = cache.members
        wanted = groups[first[groups] == MISSING].tolist()
        if not wanted:
            return first, members, {}
        refusals = dict.fromkeys(wanted[MAX_NEW_GROUPS:], Refusal("too_many_new_series"))
        fresh: list[int] = []
        for start in range(0, min(len(wanted), MAX_NEW_GROUPS), SLICE_GROUPS):
            slice_ = wanted[start : min(start + SLICE_GROUPS, MAX_NEW_GROUPS)]
            described = [decoded.members(group) for group in slice_]  # costs most, and needs no lock
            with self._lock:
                self._follow()
                for group, ids in zip(slice_, self._enter(described, caller), strict=True):
                    if isinstance(ids, Refusal):
                        refusals[group] = ids
                        continue
                    cache.remember(decoded.words[decoded.starts[group] : decoded.starts[group + 1]], ids)
                    # Where they lie in the cache another request may have cleared by now; this answer has its own.
                    first[group] = len(members) + len(fresh)
                    fresh += ids
        return first, np.concatenate([members, np.array(fresh, np.int64)]), refusals

    def enter(self, described: Sequence[list[Member] | Refusal], caller: Caller) -> list[list[int] | Refusal]:
        """Ids of the series of each group, as `resolve`, for groups that have no key."""
        with self._lock:
            return self._enter(described, caller)

    def _enter(self, described: Sequence[list[Member] | Refusal], caller: Caller) -> list[list[int] | Refusal]:
        wanted: list[Member] = []
        fresh = _Fresh()
        answers: list[list[int] | Refusal] = []
        for members in described:
            if isinstance(members, Refusal):
                answers.append(members)
            elif (refusal := self._refusal(members, caller, fresh)) is not None:
                answers.append(refusal)
            else:
                answers.append(list(range(len(wanted), len(wanted) + len(members))))
                wanted.extend(members)
        self.refused.note(answers, described, caller.source)
        if not wanted:
            return answers
        ids = self._writer.register([(m.identity, m.description, m.scope) for m in wanted], caller.source)
        return [answer if isinstance(answer, Refusal) else [ids[place] for place in answer] for answer in answers]

    def _refusal(self, members: list[Member], caller: Caller, fresh: _Fresh) -> Refusal | None:
        """Why the caller may not write to a group; else its new series join `fresh`, which are to be registered."""
        identity = members[0].identity  # the members of a group differ in part and bound alone
        refusal = check_identity(identity, self._limits, anonymous=caller.anonymous)
        if refusal is not None:
            return refusal
        registry = self._writer.view.registry
        known = [registry.find(member.identity) for member in members]
        if caller.anonymous and any(one is not None and one.source != ANONYMOUS for one in known):
            return Refusal("owned_series", where=identity.name)
        new = {member.identity for member, one in zip(members, known, strict=True) if one is None} - fresh.identities
        if not new:
            return None
        name, limits, more = identity.name, self._limits, len(fresh.identities) + len(new)
        bounds = (
            ("series_limit", len(registry) + more, limits.max_series),
            ("metric_limit", registry.of_name(name) + fresh.of_name[name] + len(new), limits.max_metric_series),
            ("source_limit", registry.of_source(caller.source) + more, limits.max_source_series),
        )
        for reason, would_be, limit in bounds:
            if would_be > limit:
                return Refusal(reason, where=name)
        if caller.anonymous and registry.anonymous + more > limits.max_anonymous_series:
            return Refusal("anonymous_quota", where=name)
        fresh.identities |= new
        fresh.of_name[name] += len(new)
        return None

    def _follow(self) -> None:
        registry = self._writer.view.registry
        if registry.generation == self._generation:
            return
        cache = self._known[True]
        taken = (series.id for series in registry.since(self._generation) if series.source != ANONYMOUS)
        self._generation = registry.generation
        if not cache.ids.isdisjoint(taken):
            cache.clear()


@dataclass
class _Fresh:
    """Series that are about to be registered, and how many of them each metric has."""

    identities: set[Identity] = field(default_factory=set)
    of_name: Counter[str] = field(default_factory=Counter)


class _Cache:
    """Keys of groups -> where their series begin in `members`."""

    def __init__(self) -> None:
        self.table = ByteTable(max_keys=MAX_KEYS, max_bytes=MAX_KEY_BYTES)
        self.clear()

    def clear(self) -> None:
        self.table.clear()
        self.ids: set[int] = set()
        self._space = np.empty(1024, np.int64)
        self._used = 0

    @property
    def members(self) -> np.ndarray:
        return self._space[: self._used]

    def remember(self, key: np.ndarray, ids: list[int]) -> int:
        """Where these ids begin in `members` from now on."""
        start = self._used
        if start + len(ids) > len(self._space):
            self._space = np.concatenate([self._space, np.empty(len(self._space) + len(ids), np.int64)])
        self._space[start : start + len(ids)] = ids
        self._used += len(ids)
        self.ids.update(ids)
        self.table.put(key, start)
        return start
