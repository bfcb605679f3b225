"""How numbers, durations, strings and names are written in PromQL."""

from __future__ import annotations

import math
import re

from workbench.errors import QuerySyntaxError

UNITS_US = {
    "y": 365 * 86_400_000_000,
    "w": 7 * 86_400_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
"""Units of a duration, in the order in which they must stand, in microseconds."""

MAX_DURATION_US = 2**63 // 1_000
"""Longest duration (Prometheus holds durations as int64 nanoseconds): about 292 years."""

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LONE_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


def format_float(value: float) -> str:
    """A float as Prometheus writes it in JSON: shortest digits that read back the same, `NaN`, `+Inf`, `-Inf`.

    Exponents only below 1e-6 and from 1e21 (Prometheus `util/jsonutil`).
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value))
    if "e" not in text:
        return text.removesuffix(".0")
    if 1e-6 <= abs(value) < 1e21:
        return format_plain(value)
    return text


def format_floats(values: list[float]) -> list[str]:
    """`format_float` of each, ten times as fast: orjson writes the same shortest digits, but for exponents and NaN."""
    if not values:
        return []
    import orjson

    texts = orjson.dumps(values)[1:-1].decode().split(",")
    return [
        format_float(value) if "e" in text or "n" in text else text.removesuffix(".0")
        for value, text in zip(values, texts, strict=True)
    ]


def format_plain(value: float) -> str:
    """A float in decimal notation without exponent, as bucket bounds are written (Go's `%f` with shortest digits)."""
    if not math.isfinite(value):
        return format_float(value)
    text = repr(float(value))
    if "e" not in text:
        return text.removesuffix(".0")
    mantissa, exponent = text.split("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "")
    point = mantissa.lstrip("-").partition(".")[0]
    place = len(point) + int(exponent)
    if place <= 0:
        return f"{sign}0.{'0' * -place}{digits}".rstrip("0").rstrip(".")
    if place >= len(digits):
        return f"{sign}{digits}{'0' * (place - len(digits))}"
    return f"{sign}{digits[:place]}.{digits[place:]}"


def format_general(value: float) -> str:
    """A float as Go's `%g` writes it, in messages: with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(value) or value == 0 or 1e-4 <= abs(value) < 1e6:
        return format_plain(value)
    digits, _, exponent = f"{value:.16e}".partition("e")
    for places in range(17):  # the fewest digits that read back the same
        if float(text := f"{value:.{places}e}") == value:
            digits, _, exponent = text.partition("e")
            break
    return f"{digits}e{int(exponent):+03d}"


def format_number(value: float) -> str:
    """A number literal that reads back as the same float."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    return format_float(value)


def format_duration(us: int) -> str:
    """A duration in units, largest first; below a millisecond as a number of seconds."""
    sign, rest, parts = ("-" if us < 0 else ""), abs(us), []
    if rest % 1_000:
        return f"{sign}{format_plain(rest / 1e6)}"
    for unit, size in UNITS_US.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")


def parse_duration(text: str, position: int = 0) -> int:
    """Microseconds of a duration such as `1h30m`. Raises QuerySyntaxError."""
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise QuerySyntaxError(
            f"not a valid duration string: {text[:40]!r}",
            position=position,
            hint="Write units from large to small, each once: y, w, d, h, m, s, ms.",
        )
    us = sum(int(count) * size for count, size in zip(match.groups(), UNITS_US.values(), strict=True) if count)
    if us > MAX_DURATION_US:
        raise QuerySyntaxError("duration out of range", position=position, hint="It must be shorter than 292 years.")
    return us


def parse_number(text: str, position: int = 0) -> float:
    """A float from decimal, hexadecimal (`0x1f`) or octal (`017`) text, `inf` or `nan`.

    Underscores between digits are ignored. Raises QuerySyntaxError.
    """
    plain = text.replace("_", "").lower()
    try:
        if plain.startswith("0x"):
            return float(int(plain, 0))
        if len(plain) > 1 and plain[0] == "0" and plain.isdigit() and not set(plain) & set("89"):
            return float(int(plain, 8))
        return float(plain)
    except OverflowError:
        return math.inf
    except ValueError:
        raise QuerySyntaxError(f"bad number syntax: {text[:40]!r}", position=position) from None


def quote(text: str) -> str:
    """A string literal in double quotes."""
    body = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    body = _LONE_BYTE.sub(lambda match: rf"\x{ord(match.group()) - 0xDC00:02x}", body)
    return f'"{body}"'


def unquote(literal: str, position: int = 0, *, any_bytes: bool = False) -> str:
    r"""The text of a string literal in any of the three quotes. Raises QuerySyntaxError.

    `\x` and octal escapes name bytes, as in Go; together they must make UTF-8. With `any_bytes` what does not is kept,
    as `is_text` tells.
    """
    body = literal[1:-1]
    if literal[0] == "`" or "\\" not in body:
        return body

    def put(match: re.Match[str]) -> bytes:
        code = match.group(1)
        where = position + 1 + match.start()
        if code in _ESCAPES and code not in set("\"'") - {literal[0]}:
            return _ESCAPES[code].encode()
        if code[0] in "uU" and len(code) > 1:
            point = int(code[1:], 16)
            if point > 0x10FFFF or 0xD800 <= point < 0xE000:
                raise QuerySyntaxError("escape sequence is an invalid Unicode code point", position=where)
            return chr(point).encode()
        if code[0] == "x" and len(code) == 3:
            return bytes([int(code[1:], 16)])
        if len(code) == 3 and int(code, 8) < 256:
            return bytes([int(code, 8)])
        raise QuerySyntaxError(f"unknown escape sequence {match.group(0)!r}", position=where)

    pieces, last = [], 0
    for match in _ESCAPE.finditer(body):
        pieces += [body[last : match.start()].encode("utf-8", "surrogatepass"), put(match)]
        last = match.end()
    pieces.append(body[last:].encode("utf-8", "surrogatepass"))
    try:
        return b"".join(pieces).decode(errors="surrogateescape" if any_bytes else "strict")
    except UnicodeDecodeError:
        raise QuerySyntaxError("the string is not valid UTF-8", position=position) from None


def is_text(value: str) -> bool:
    """Whether all bytes of an unquoted string make UTF-8."""
    return not _LONE_BYTE.search(value)


def label_name(name: str, *, colons: bool = False) -> str:
    """The name itself where it can stand without quotes, else empty. Metric names (`colons`) may contain colons."""
    if colons:
        return name if _METRIC.fullmatch(name) and name.lower() not in _NOT_METRIC else ""
    return name if _NAME.fullmatch(name) and name.lower() not in _NOT_LABEL else ""


# Words that the grammar keeps for itself where a metric, or a label of a list, could stand.
_NOT_METRIC = {"atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"}
_NOT_LABEL = {"inf", "nan", "without"}
