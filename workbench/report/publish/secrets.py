"""Secrets in a notebook: known forms of keys and tokens, passwords that are written out, and texts that look random."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator

KNOWN = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a token of the workbench", re.compile(r"\bwb_[A-Za-z0-9_-]{40,}")),
    ("an AWS key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_\w{40,}")),
    ("a GitLab token", re.compile(r"\bglpat-[\w-]{20,}")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[\w-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/\w+")),
    ("a Google key", re.compile(r"\bAIza[\w-]{35}")),
    ("a key of a language model", re.compile(r"\bsk-(?:ant-|proj-)?[\w-]{20,}")),
    ("a JSON web token", re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
    ("an address with a password", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}]+:[^\s/@'\"{}]+@")),
)
NAMED = re.compile(r"pass(?:word|wd|phrase)|secret|token|api_?key|access_?key|credential", re.IGNORECASE)
"""Names of what should come from elsewhere; a text of at least 6 signs under such a name is taken for one."""
HARMLESS = re.compile(r"^(?:[\w-]*(?:example|changeme|placeholder|your)[\w-]*|\s*|[<{\[].*[>}\]])$", re.IGNORECASE)
RANDOM_LENGTH = 24
RANDOM_BITS = {"hex": 3.4, "mixed": 4.3}
"""Shannon entropy a sign, from which a long text without blanks is random: words and paths stay below 4.1 bits."""


def secrets_in(source: str) -> Iterator[tuple[int, str]]:
    """(1-based line, what it looks like) of everything in a cell that should not be read by others.

    Works on code that does not parse, and on text: then without what only names and literals tell.
    """
    seen: set[int] = set()
    for number, line in enumerate(source.splitlines(), 1):
        for what, pattern in KNOWN:
            if pattern.search(line) and number not in seen:
                seen.add(number)
                yield number, what
    for number, name, text in _literals(source):
        if number in seen:
            continue
        if NAMED.search(name) and len(text) >= 6 and not HARMLESS.match(text):
            seen.add(number)
            yield number, f"a text under the name {name!r}"
        elif looks_random(text):
            seen.add(number)
            yield number, "a text that looks random"


def looks_random(text: str) -> bool:
    """Whether a text is long, has no blanks, mixes letters and digits, and no sign of it tells of the next."""
    if len(text) < RANDOM_LENGTH or not re.fullmatch(r"[A-Za-z0-9+/=_-]+", text):
        return False
    if not (re.search(r"\d", text) and re.search(r"[A-Za-z]", text)):
        return False
    kind = "hex" if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", text) else "mixed"
    counts = Counter(text)
    bits = -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values())
    return bits >= RANDOM_BITS[kind]


def _literals(source: str) -> Iterator[tuple[int, str, str]]:
    """(line, name that it is given, text) of every text in a cell of Python; the name is empty where it has none."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    named: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            named |= {id(part): names[0] for part in ast.walk(node.value) if names}
        elif isinstance(node, ast.keyword) and node.arg:
            named[id(node.value)] = node.arg
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    named[id(value)] = key.value
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, named.get(id(node), ""), node.value
