"""From raw bytes to a number: an open-addressing hash table in numpy arrays, exact to the byte, bounded in memory.

A key is a run of 8-byte words whose first word holds its length in bytes; scanners write keys in that form. Two keys
are the same only if all words are: the hash (seeded per process, so that nobody can prepare collisions) merely finds
the place.
"""

from __future__ import annotations

import secrets

import numpy as np
from numba import njit

from workbench.ingest.wire import Int

MISSING = -1

_MIX_A = np.uint64(0x9E3779B97F4A7C15)
_MIX_B = np.uint64(0xBF58476D1CE4E5B9)


@njit(cache=True, nogil=True)
def _hash(words: np.ndarray, start: Int, end: Int, seed: Int) -> Int:
    state = seed
    for i in range(start, end):
        state = (state ^ words[np.uint64(i)]) * _MIX_A
        state ^= state >> np.uint64(29)
    state *= _MIX_B
    return (state ^ (state >> np.uint64(32))) | np.uint64(1)  # 0 marks a free place


@njit(cache=True, nogil=True)
def _place(
    words: np.ndarray,
    start: Int,
    end: Int,
    digest: Int,
    hashes: np.ndarray,
    key_starts: np.ndarray,
    key_ends: np.ndarray,
    arena: np.ndarray,
) -> Int:
    """The place where the key lies, or the free one where it belongs."""
    mask = np.uint64(len(hashes) - 1)
    place = (digest >> np.uint64(8)) & mask
    size = end - start
    while hashes[place] != np.uint64(0):
        if hashes[place] == digest and key_ends[place] - key_starts[place] == size:
            base = key_starts[place]
            same = True
            for i in range(size):
                if arena[np.uint64(base + i)] != words[np.uint64(start + i)]:
                    same = False
                    break
            if same:
                return place
        place = (place + np.uint64(1)) & mask
    return place


@njit(cache=True, nogil=True)
def _find(
    words: np.ndarray,
    starts: np.ndarray,
    seed: Int,
    hashes: np.ndarray,
    key_starts: np.ndarray,
    key_ends: np.ndarray,
    values: np.ndarray,
    arena: np.ndarray,
    found: np.ndarray,
) -> None:
    for k in range(len(starts) - 1):
        digest = _hash(words, starts[k], starts[k + 1], seed)
        place = _place(words, starts[k], starts[k + 1], digest, hashes, key_starts, key_ends, arena)
        found[k] = values[place] if hashes[place] != np.uint64(0) else MISSING


@njit(cache=True, nogil=True)
def _put(
    words: np.ndarray,
    start: Int,
    end: Int,
    value: Int,
    seed: Int,
    hashes: np.ndarray,
    key_starts: np.ndarray,
    key_ends: np.ndarray,
    values: np.ndarray,
    arena: np.ndarray,
    used: Int,
) -> Int:
    """Write one key; returns the words used in the arena afterwards. There is room: the caller saw to it."""
    digest = _hash(words, start, end, seed)
    place = _place(words, start, end, digest, hashes, key_starts, key_ends, arena)
    if hashes[place] == np.uint64(0):
        for i in range(end - start):
            arena[np.uint64(used + i)] = words[np.uint64(start + i)]
        hashes[place] = digest
        key_starts[place] = used
        key_ends[place] = used + end - start
        used += end - start
    values[place] = value
    return used


class ByteTable:
    """Raw bytes -> int64, at most `max_keys` keys of `max_bytes` in all.

    `crowded` once a key found no room; its owner then clears it. Not thread-safe: the owner holds a lock.
    """

    def __init__(self, *, max_keys: int, max_bytes: int) -> None:
        self.max_keys = max_keys
        self.max_words = max_bytes // 8
        self._seed = np.uint64(secrets.randbits(63))
        self.clear()

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Forget all keys and give the memory back."""
        self.crowded = False
        self._count = 0
        self._used = 0
        self._arena = np.empty(4096, np.uint64)
        self._allocate(1024)

    def _allocate(self, capacity: int) -> None:
        self._hashes = np.zeros(capacity, np.uint64)
        self._key_starts = np.zeros(capacity, np.int64)
        self._key_ends = np.zeros(capacity, np.int64)
        self._values = np.zeros(capacity, np.int64)

    def find(self, words: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Values of the keys words[starts[k]:starts[k + 1]] (uint64, int64) -> int64[n], MISSING where unknown."""
        found = np.empty(len(starts) - 1, np.int64)
        _find(
            words, starts, self._seed, self._hashes, self._key_starts, self._key_ends, self._values, self._arena, found
        )
        return found

    def put(self, key: np.ndarray, value: int) -> bool:
        """Remember one key (uint64 words); False, and nothing remembered, where there is no room."""
        if self._count >= self.max_keys or self._used + len(key) > self.max_words:
            self.crowded = True
            return False
        if self._used + len(key) > len(self._arena):
            size = min(self.max_words, max(2 * len(self._arena), self._used + len(key)))
            self._arena = np.concatenate([self._arena[: self._used], np.empty(size - self._used, np.uint64)])
        if 2 * (self._count + 1) > len(self._hashes):
            self._grow()
        used = _put(
            key, 0, len(key), value, self._seed, self._hashes, self._key_starts, self._key_ends, self._values,
            self._arena, self._used,
        )  # fmt: skip
        self._count += used > self._used
        self._used = used
        return True

    def _grow(self) -> None:
        full = np.flatnonzero(self._hashes)
        old = (self._hashes[full], self._key_starts[full], self._key_ends[full], self._values[full])
        self._allocate(2 * len(self._hashes))
        _reinsert(*old, self._hashes, self._key_starts, self._key_ends, self._values)


@njit(cache=True, nogil=True)
def _reinsert(
    old_hashes: np.ndarray,
    old_starts: np.ndarray,
    old_ends: np.ndarray,
    old_values: np.ndarray,
    hashes: np.ndarray,
    key_starts: np.ndarray,
    key_ends: np.ndarray,
    values: np.ndarray,
) -> None:
    mask = np.uint64(len(hashes) - 1)
    for k in range(len(old_hashes)):
        place = (old_hashes[k] >> np.uint64(8)) & mask
        while hashes[place] != np.uint64(0):
            place = (place + np.uint64(1)) & mask
        hashes[place] = old_hashes[k]
        key_starts[place] = old_starts[k]
        key_ends[place] = old_ends[k]
        values[place] = old_values[k]
