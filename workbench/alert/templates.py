"""Templates in labels and annotations of rules: the part of Go's templates that rule files use.

`{{ $value }}`, `{{ $labels.x }}`, `{{ .Value }}`, `{{ .Labels.x }}`, texts, numbers, calls (`humanize $value`), pipes
(`$value | printf "%.2f"`), parentheses and trimming (`{{- -}}`). Functions: see `FUNCTIONS`. Control structures and
`query` are refused by name when the rule file loads. A label that is not there is empty, as in Prometheus.
Source: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workbench.errors import InputError

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[$.]?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<sign>[|()])
    )""",
    re.VERBOSE,
)
_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_DEEPEST = 50
"""Parentheses in one another; more is no template that somebody wrote."""
_WIDEST = 1000
"""Characters that a width or a precision of `printf` may ask for."""
_CONTROL = ("if", "else", "end", "range", "with", "define", "template", "block", "break", "continue", "query")


@dataclass(frozen=True)
class _Label:
    name: str


@dataclass(frozen=True)
class _Value:
    pass


@dataclass(frozen=True)
class _Call:
    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Template:
    """A template, checked: pieces of plain text and expressions. `source` is what was written."""

    source: str
    pieces: tuple[Any, ...]

    def render(self, labels: Mapping[str, str], value: float) -> str:
        """Fill in. Raises InputError where a function does not take what it is given."""
        return "".join(
            piece if isinstance(piece, str) else to_text(_evaluate(piece, labels, value)) for piece in self.pieces
        )


def compile_template(source: str) -> Template:
    """Check a template. Raises InputError that says what is wrong and what is understood."""
    pieces: list[Any] = []
    position, trim = 0, False
    for found in _ACTION.finditer(source):
        plain = source[position : found.start()]
        plain = plain.lstrip() if trim else plain
        pieces.append(plain.rstrip() if found[1] else plain)
        body = found[2].strip()
        if not body.startswith("/*"):
            pieces.append(_Parser(body).parse())
        position, trim = found.end(), bool(found[3])
    rest = source[position:].lstrip() if trim else source[position:]
    if "{{" in rest:
        raise InputError("a template action is not closed", where=rest[:40], hint="Write {{ … }}.")
    return Template(source, (*pieces, rest))


class _Parser:
    """Recursive descent over one action: pipeline = command ('|' command)*."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.depth = 0
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(body):
            found = _TOKEN.match(body, position)
            if not found:
                if not body[position:].strip():
                    break
                raise InputError("not a template expression", where="{{ " + body + " }}", hint=_hint())
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            position = found.end()
        self.tokens.append(("end", ""))

    def parse(self) -> Any:
        tree = self.pipeline()
        if self.tokens[0][0] != "end":
            raise self.wrong(f"unexpected {self.tokens[0][1]!r}")
        return tree

    def pipeline(self) -> Any:
        tree = self.command()
        while self.tokens[0] == ("sign", "|"):
            self.tokens.pop(0)
            if self.tokens[0][0] != "name" or self.tokens[0][1] not in FUNCTIONS:
                raise self.wrong(f"{self.tokens[0][1]!r} is not a function after '|'")
            tree = self.command(tree)
        return tree

    def command(self, *piped: Any) -> Any:
        kind, text = self.tokens[0]
        if kind != "name" or text[0] in "$.":
            return self.operand()
        self.tokens.pop(0)
        if text in _CONTROL:
            raise self.wrong(f"{text!r} in templates is not supported")
        if text not in FUNCTIONS:
            raise self.wrong(f"unknown function {text!r}")
        arguments = []
        while self.tokens[0][0] in ("text", "number", "name") or self.tokens[0] == ("sign", "("):
            arguments.append(self.operand())
        call = _Call(text, (*arguments, *piped))
        needed = FUNCTIONS[text][1]
        if len(call.arguments) != needed and not (needed < 0 and len(call.arguments) >= -needed):
            raise self.wrong(f"{text} takes {abs(needed)} argument(s){' or more' if needed < 0 else ''}")
        return call

    def operand(self) -> Any:
        kind, text = self.tokens.pop(0)
        if kind == "text":
            return self.text(text)
        if kind == "number":
            return float(text)
        if (kind, text) == ("sign", "("):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.wrong(f"more than {_DEEPEST} parentheses in one another")
            tree = self.pipeline()
            if self.tokens.pop(0) != ("sign", ")"):
                raise self.wrong("a parenthesis is not closed")
            self.depth -= 1
            return tree
        if text in ("$value", ".Value"):
            return _Value()
        if kind == "name" and text.startswith(("$labels.", ".Labels.")) and text.count(".") == 1 + text.startswith("."):
            return _Label(text.rsplit(".", 1)[1])
        raise self.wrong(f"unknown {text!r}" if text else "something is missing")

    def text(self, quoted: str) -> str:
        """What a quoted text says; between double quotes the escapes of JSON are understood."""
        if quoted[0] == "`":
            return quoted[1:-1]
        try:
            return str(json.loads(quoted))
        except ValueError:
            raise self.wrong(f"not a text: {quoted}") from None

    def wrong(self, message: str) -> InputError:
        return InputError(message, where="{{ " + self.body[:200] + " }}", hint=_hint())


def _hint() -> str:
    return f"Known are $value, $labels.NAME and the functions {', '.join(FUNCTIONS)}."


def _evaluate(tree: Any, labels: Mapping[str, str], value: float) -> Any:
    if isinstance(tree, _Value):
        return value
    if isinstance(tree, _Label):
        return labels.get(tree.name, "")
    if isinstance(tree, _Call):
        return FUNCTIONS[tree.function][0](*(_evaluate(argument, labels, value) for argument in tree.arguments))
    return tree


def to_text(value: Any) -> str:
    """A value as Go prints it: the shortest float that reads back, with an exponent below 1e-4 and from 1e21."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    magnitude = abs(value)
    if magnitude != 0 and (magnitude < 1e-4 or magnitude >= 1e21):
        digits, exponent = f"{value!r}".split("e") if "e" in repr(value) else f"{value:.17e}".split("e")
        return f"{digits.removesuffix('.0')}e{int(exponent):+03d}"
    return f"{value:.0f}" if value == int(value) else repr(value)


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"not a number: {value!r}") from None


def _scaled(value: float, unit: str = "") -> str:
    """A small or large number with an SI prefix; `unit` follows it."""
    if value == 0 or not math.isfinite(value):
        return _short(value) + unit
    prefix = ""
    if abs(value) >= 1:
        for step in "kMGTPEZY":
            if abs(value) < 1000:
                break
            prefix, value = step, value / 1000
    else:
        for step in "munpfazy":
            if abs(value) >= 1:
                break
            prefix, value = step, value * 1000
    return _short(value) + prefix + unit


def _short(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else to_text(value)


def humanize(value: Any) -> str:
    """1234567 -> 1.235M"""
    return _scaled(_number(value))


def humanize1024(value: Any) -> str:
    """1048576 -> 1Mi"""
    number, prefix = _number(value), ""
    if abs(number) > 1 and math.isfinite(number):
        for step in ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"):
            if abs(number) < 1024:
                break
            prefix, number = step, number / 1024
    return _short(number) + prefix


def humanize_duration(value: Any) -> str:
    """Seconds: 3661 -> 1h 1m 1s"""
    number = _number(value)
    if not math.isfinite(number):
        return to_text(number)
    if abs(number) < 1:
        return _scaled(number, "s")
    sign, seconds = ("-" if number < 0 else ""), int(abs(number))
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds % 60}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds % 60}s"
    if minutes:
        return f"{sign}{minutes}m {seconds % 60}s"
    return f"{sign}{abs(number):.4g}s"


def humanize_percentage(value: Any) -> str:
    """A ratio: 0.957 -> 95.7%"""
    return _short(_number(value) * 100) + "%"


def humanize_timestamp(value: Any) -> str:
    """Unix seconds -> 2015-06-23 13:19:44.128 +0000 UTC"""
    number = _number(value)
    try:
        moment = datetime.fromtimestamp(round(number, 3), UTC)
        fraction = f".{moment.microsecond // 1000:03d}".rstrip("0").rstrip(".")
        return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
    except (ValueError, OverflowError, OSError):
        return to_text(number)


_VERB = re.compile(r"%([-+ 0]*\d*(?:\.\d+)?)([a-zA-Z%])")


def printf(pattern: Any, *arguments: Any) -> str:
    """Go's `printf` with the verbs v s q f F e E g G %; any other is refused, as it would print an error text."""
    left = list(arguments)

    def fill(found: re.Match[str]) -> str:
        flags, verb = found.groups()
        if any(int(number) > _WIDEST for number in re.findall(r"\d+", flags)):
            raise InputError(f"printf {pattern!r} asks for more than {_WIDEST} characters")
        if verb == "%":
            return "%"
        if not left:
            raise InputError(f"printf {pattern!r} has more verbs than arguments")
        argument = left.pop(0)
        if verb in "fFeEgG":
            return f"%{flags}{verb}" % _number(argument)
        if verb in "vsq":
            text = to_text(argument)
            return f"%{flags}s" % (json.dumps(text) if verb == "q" else text)
        raise InputError(f"printf does not know %{verb}", hint="Known are %v %s %q %f %e %g.")

    text = _VERB.sub(fill, to_text(pattern))
    if left:
        raise InputError(f"printf {pattern!r} has fewer verbs than arguments")
    return text


FUNCTIONS: dict[str, tuple[Callable[..., str], int]] = {
    "humanize": (humanize, 1),
    "humanize1024": (humanize1024, 1),
    "humanizeDuration": (humanize_duration, 1),
    "humanizePercentage": (humanize_percentage, 1),
    "humanizeTimestamp": (humanize_timestamp, 1),
    "printf": (printf, -1),
    "title": (lambda text: re.sub(r"(?<![\w'])\w", lambda found: found[0].upper(), to_text(text)), 1),
    "toLower": (lambda text: to_text(text).lower(), 1),
    "toUpper": (lambda text: to_text(text).upper(), 1),
}
"""What a template may call: function and number of arguments (-n: n or more)."""
