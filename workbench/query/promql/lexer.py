"""PromQL text -> tokens. What a word means depends on where it stands, so braces and brackets are tracked here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.errors import QuerySyntaxError

AGGREGATORS = (
    "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "count_values", "quantile",
    "limitk", "limit_ratio",
)  # fmt: skip
"""The aggregation operators of Prometheus 3."""

KEYWORDS = frozenset(AGGREGATORS) | {
    "and", "or", "unless", "atan2", "offset", "smoothed", "anchored", "by", "without", "on", "ignoring", "group_left",
    "group_right", "fill", "fill_left", "fill_right", "bool", "start", "end", "step", "range", "min_of", "max_of",
}  # fmt: skip
"""Words with a meaning of their own outside braces, in any case."""


@dataclass(frozen=True)
class Token:
    """One token. `kind` is number, duration, string, identifier, metric, eof, or the keyword or sign itself."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Position after the last character."""
        return self.start + len(self.text)

    def __str__(self) -> str:
        if self.kind == "eof":
            return "end of input"
        shown = repr(self.text if len(self.text) <= 20 else self.text[:20] + "…")
        if self.kind in ("number", "duration", "string", "identifier"):
            return f"{self.kind} {shown}"
        return {"metric": f"metric name {shown}"}.get(self.kind, shown)


_DIGITS = r"\d+(?:_\d+)*"
_SKIP = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)+")
# Letters of any script, and dots after the first character, need no quotes; combining marks do.
_WORD = re.compile(r"(?:[^\W\d]|:)[\w:.]*")
_LABEL = re.compile(r"[^\W\d][\w.]*")
_DURATION_WORD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_NUMBER = re.compile(
    rf"(?:0[xX](?:_?[0-9a-fA-F]+)+|(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?)(?![\w.])",
    re.ASCII,
)
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+(?!\w)", re.ASCII)
_JUNK_NUMBER = re.compile(r"[\w.]+", re.ASCII)
_STRING = {
    '"': re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'),
    "'": re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"),
    "`": re.compile(r"`[^`]*`"),
}
_SIGNS = re.compile(r"==|=~|!=|!~|<=|>=|</|>/|[-+*/%^=<>(),{}\[\]@:]")
_IN_BRACES = frozenset(("=", "!=", "=~", "!~", ",", "}"))
_CLOSING = {")": "(", "]": "[", "}": "{"}
_NAMES = {"(": "parenthesis", "[": "bracket", "{": "brace"}


def tokenize(text: str) -> list[Token]:
    """All tokens, the last of kind `eof`. Raises QuerySyntaxError with the position of what is no token."""
    tokens: list[Token] = []
    opened: list[Token] = []
    position = 0
    while True:
        skipped = _SKIP.match(text, position)
        position = skipped.end() if skipped else position
        if position >= len(text):
            break
        token = _next(text, position, opened[-1].kind if opened else "")
        if token.kind in _NAMES:
            opened.append(token)
        elif token.kind in _CLOSING:
            if not opened or opened[-1].kind != _CLOSING[token.kind]:
                name = _NAMES[_CLOSING[token.kind]]
                raise QuerySyntaxError(f"unexpected right {name} {token.kind!r}", position=position)
            opened.pop()
        tokens.append(token)
        position = token.end
    if opened:
        raise QuerySyntaxError(
            f"unclosed left {_NAMES[opened[-1].kind]}",
            position=len(text),
            hint=f"It was opened at character {opened[-1].start + 1}.",
        )
    tokens.append(Token("eof", "", len(text)))
    return tokens


def _next(text: str, position: int, inside: str) -> Token:
    char = text[position]
    if char in _STRING:
        match = _STRING[char].match(text, position)
        if not match:
            raise QuerySyntaxError(
                "unterminated raw string" if char == "`" else "unterminated quoted string", position=position
            )
        return Token("string", match.group(), position)
    if inside == "{":
        return _in_braces(text, position)
    if char.isascii() and (char.isdigit() or (char == "." and text[position + 1 : position + 2].isdigit())):
        return _number(text, position)
    # In brackets a colon divides range from step; elsewhere it is part of a metric name.
    word = (_DURATION_WORD if inside == "[" else _WORD).match(text, position)
    if word:
        return _word(text, word.group(), position)
    sign = _SIGNS.match(text, position)
    if not sign or sign.group() in ("=~", "!~") or (sign.group() == ":" and inside != "["):
        raise QuerySyntaxError(f"unexpected character: {char!r}", position=position)
    return Token(sign.group(), sign.group(), position)


def _in_braces(text: str, position: int) -> Token:
    label = _LABEL.match(text, position)
    if label:
        return Token("identifier", label.group(), position)
    sign = _SIGNS.match(text, position)
    if not sign or sign.group() not in _IN_BRACES:
        raise QuerySyntaxError(f"unexpected character inside braces: {text[position]!r}", position=position)
    return Token(sign.group(), sign.group(), position)


def _number(text: str, position: int) -> Token:
    for kind, pattern in (("number", _NUMBER), ("duration", _DURATION)):
        match = pattern.match(text, position)
        if match:
            return Token(kind, match.group(), position)
    junk = _JUNK_NUMBER.match(text, position)
    shown = junk.group()[:40] if junk else text[position]
    raise QuerySyntaxError(f"bad number or duration syntax: {shown!r}", position=position)


def _word(text: str, word: str, position: int) -> Token:
    lower = word.lower()
    if lower in ("inf", "nan"):
        return Token("number", word, position)
    if lower in KEYWORDS:
        # `fill` came late to the language: only before a parenthesis is it a keyword.
        rest = _SKIP.sub("", text[position + len(word) : position + len(word) + 80], count=1)
        if not lower.startswith("fill") or rest.startswith("("):
            return Token(lower, word, position)
    return Token("metric" if ":" in word else "identifier", word, position)
