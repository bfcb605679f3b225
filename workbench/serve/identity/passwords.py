"""Passwords: how they are kept (argon2id), which are refused as too easy, and how many wrong tries are borne.

What makes a password good follows NIST SP 800-63B-4: length counts, no rules about kinds of characters, and what
guessing programs try first is refused.
"""

from __future__ import annotations

import re
import threading
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise

import argon2

from workbench.errors import Busy, InputError

MIN_LENGTH = 10
MAX_LENGTH = 200  # argon2 reads all of it; nobody types more
MIN_DISTINCT = 5

# What lists of leaked passwords are made of; digits, signs and repetitions around them add next to nothing.
COMMON = """
    password passwort passwd pass secret letmein welcome admin administrator root user guest login master changeme
    default test testing demo temp qwerty qwertz azerty asdf zxcv iloveyou love sunshine princess dragon monkey
    football baseball superman batman starwars shadow whatever trustno hello freedom summer winter spring autumn
    monday tuesday wednesday thursday friday january february march april june july august september october
    november december company office workbench monitor monitoring grafana jupyter
"""
_COMMON = re.compile(f"(?:{'|'.join(sorted(COMMON.split(), key=len, reverse=True))})+")
_LEET = str.maketrans("@4380157$!", "aaeboistsi")
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "0123456789", "qwertzuiop", "qwertyuiop", "asdfghjkl", "yxcvbnm", "zxcvbnm")

# RFC 9106's second recommended choice: 64 MiB, three passes, four lanes; some 60 ms.
_hasher = argon2.PasswordHasher()
_room = threading.BoundedSemaphore(2)
"""So many are computed at once: each takes 64 MiB, and strangers may ask."""


def hash_password(password: str) -> str:
    """What is stored: an argon2id string with its parameters and salt."""
    with _room:
        return _hasher.hash(_normal(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether `password` is the one that was stored; takes as long where none was."""
    with _room:
        try:
            right = _hasher.verify(stored or _nobodys(), _normal(password)[:MAX_LENGTH])
        except argon2.exceptions.VerificationError:
            return False
    return right and stored is not None


@cache
def _nobodys() -> str:
    """What is compared with where there is no password, so that an unknown name takes as long as a wrong password."""
    return _hasher.hash("nobody's")


def check_strength(password: str, name: str) -> None:
    """Raises InputError, in words for people, for a password that would be guessed."""
    text = _normal(password)
    folded = text.casefold()
    if len(text) < MIN_LENGTH:
        raise _weak(f"has fewer than {MIN_LENGTH} characters")
    if len(text) > MAX_LENGTH:
        raise _weak(f"has more than {MAX_LENGTH} characters")
    words = re.findall(r"[^\W_]{3,}", name.casefold())
    rest = folded
    for word in words:
        rest = rest.replace(word, "")
    if len(rest) < MIN_LENGTH // 2:
        raise _weak("is little more than the name")
    if len(set(folded)) < MIN_DISTINCT:
        raise _weak(f"has fewer than {MIN_DISTINCT} different characters")
    if (folded + folded).find(folded, 1) < len(folded):
        raise _weak("is one piece repeated")
    if _in_rows(folded) > 0.6 * len(folded):
        raise _weak("follows the alphabet or the keyboard")
    core = re.sub(r"^[^a-z@$]+|[^a-z@$]+$", "", folded)  # digits and signs around a word are no letters of it
    for spelled in (folded, core.translate(_LEET)):
        letters = re.sub(r"[^a-z]", "", spelled)
        if letters and _COMMON.fullmatch(letters) and len(letters) < 24:
            raise _weak("is one of those that are tried first")


def _weak(why: str) -> InputError:
    return InputError(
        f"this password {why}", where="password", hint="Take four or five words that do not belong together."
    )


def _normal(password: str) -> str:
    # The same password typed on two systems may come composed or not.
    return unicodedata.normalize("NFKC", password)


def _in_rows(text: str) -> int:
    """How many characters continue an alphabet, a row of keys or the digits, upwards or downwards."""
    pairs = {pair for row in _ROWS for one in (row, row[::-1]) for pair in pairwise(one)}
    return sum(pair in pairs for pair in pairwise(text))


class Attempts:
    """How many wrong tries each key has made within `window_seconds`; over the bound they are refused unheard.

    In memory, at most `capacity` keys; the longest unused is forgotten first.
    """

    capacity = 10_000

    def __init__(self, window_seconds: float = 900, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, bounds: Iterable[tuple[str, int]]) -> None:
        """Raises Busy where one of (key, bound) is reached."""
        now = self._clock()
        for key, bound in bounds:
            past = self._failures.get(key)
            while past and now - past[0] >= self._window_seconds:
                past.popleft()
            if past and len(past) >= bound:
                wait_seconds = int(self._window_seconds - (now - past[0])) + 1
                raise Busy(
                    "too many wrong tries",
                    retry_after_seconds=wait_seconds,
                    hint=f"Try again in {wait_seconds // 60 + 1} min, or sign in with a link from `workbench open`.",
                )

    def failed(self, bounds: Iterable[tuple[str, int]]) -> None:
        """Take note of a wrong try."""
        for key, bound in bounds:
            past = self._failures.setdefault(key, deque(maxlen=bound))
            past.append(self._clock())
            self._failures.move_to_end(key)
        while len(self._failures) > self.capacity:
            self._failures.popitem(last=False)

    def succeeded(self, bounds: Iterable[tuple[str, int]]) -> None:
        """The last try was right after all; wrong ones before it stay counted, as somebody else may have made them."""
        for key, _ in bounds:
            if past := self._failures.get(key):
                past.pop()
