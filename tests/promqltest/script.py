"""Text of a script -> its commands. What cannot be read becomes a command that says so, and fails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.promqltest.series import Value, number, parse_series, parse_starts, split_series
from workbench.errors import QueryError
from workbench.query.promql.text import parse_duration, unquote

_PLACE = re.compile(r" \(\d+:\d+\)$")
_LOAD = re.compile(r"load(?:_(with_nhcb))?\s+(\S+)", re.IGNORECASE)
_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+))?\s+(.+)", re.IGNORECASE)
_RANGE = re.compile(
    r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+?)\s+(.+)", re.IGNORECASE
)
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?")
_EXPECT_RANGE = re.compile(r"expect range vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")


@dataclass(frozen=True)
class Expectation:
    """What an annotation or an error must say: a text, a regular expression, or (both empty) anything."""

    text: str = ""
    pattern: str = ""

    def holds(self, said: str, *, placed: bool = True) -> bool:
        """Whether these words meet it; not `placed`, but for the place in the expression that they end with."""
        if not placed and not self.pattern:
            return not self.text or _PLACE.sub("", self.text) == _PLACE.sub("", said)
        if self.pattern:
            return re.search(self.pattern, said) is not None
        return not self.text or self.text == said


@dataclass
class Load:
    """Samples to add: labels, values and start times (us, absolute) from time 0 on, one per step."""

    line: int
    step_us: int
    with_nhcb: bool
    series: list[tuple[dict[str, str], list[Value], list[int | None]]] = field(default_factory=list)


@dataclass
class Clear:
    """Forget all samples."""

    line: int


@dataclass
class Broken:
    """Lines that cannot be read, and why."""

    line: int
    reason: str


@dataclass
class Eval:
    """An expression with its times and what it should give. Times int64 us; a step of 0 is an instant query."""

    line: int
    expr: str
    start_us: int
    end_us: int
    step_us: int = 0
    expected: list[tuple[dict[str, str], list[Value]]] = field(default_factory=list)
    scalar: float | None = None
    text: str | None = None
    range_vector: tuple[int, int, int] | None = None
    expects: dict[str, list[Expectation]] = field(default_factory=dict)


Command = Load | Clear | Eval | Broken


def read(text: str) -> Iterator[Command]:
    """The commands of a script. A blank line or a comment ends the block of a command."""
    lines = [line.strip() for line in text.split("\n")]
    lines = ["" if line.startswith("#") else line for line in lines]
    at = 0
    while at < len(lines):
        if not lines[at]:
            at += 1
            continue
        end = at + 1
        while end < len(lines) and lines[end]:
            end += 1
        word = lines[at].split()[0].lower()
        if word == "clear":
            end = at + 1
        try:
            yield _command(word, lines[at:end], at + 1)
        except (ValueError, QueryError) as error:
            yield Broken(at + 1, str(error))
        at = end


def _command(word: str, block: Sequence[str], line: int) -> Command:
    if word == "clear":
        return Clear(line)
    if word.startswith("load"):
        return _load(block, line)
    if word.startswith("eval"):
        return _eval(block, line)
    raise ValueError(f"not a command: {block[0]}")


def _load(block: Sequence[str], line: int) -> Load:
    match = _LOAD.fullmatch(block[0])
    if not match:
        raise ValueError(f"not a load command: {block[0]}")
    load = Load(line, duration_us(match[2]), match[1] is not None)
    starts: list[int | None] | None = None
    for text in block[1:]:
        name, rest = split_series(text)
        if name.endswith("@st"):
            starts = list(parse_starts(rest))
            continue
        labels, values = parse_series(text)
        if starts is not None and len(starts) != len(values):
            raise ValueError(f"{len(starts)} start times for {len(values)} samples: {text}")
        relative = starts or [None] * len(values)
        absolute = [None if one is None else place * load.step_us + one for place, one in enumerate(relative)]
        load.series.append((labels, values, absolute))
        starts = None
    return load


def _eval(block: Sequence[str], line: int) -> Eval:
    if match := _INSTANT.fullmatch(block[0]):
        mode, at, expr = match.groups()
        found = Eval(line, expr, duration_us(at), duration_us(at))
    elif match := _RANGE.fullmatch(block[0]):
        mode, start, end, step, expr = match.groups()
        found = Eval(line, expr, duration_us(start), duration_us(end), duration_us(step))
    else:
        raise ValueError(f"not an eval command: {block[0]}")
    if mode:
        found.expects[mode] = [Expectation()]
    for text in block[1:]:
        _expected(found, text)
    return found


def _expected(found: Eval, text: str) -> None:
    """Take one line below an `eval` in."""
    if text.startswith("expected_fail_message"):
        found.expects["fail"] = [Expectation(text=text.removeprefix("expected_fail_message").strip())]
    elif text.startswith("expected_fail_regexp"):
        found.expects["fail"] = [Expectation(pattern=text.removeprefix("expected_fail_regexp").strip())]
    elif match := _EXPECT_RANGE.fullmatch(text):
        start, end, step = (duration_us(word) for word in match.groups())
        found.range_vector = (start, end, step)
    elif text.startswith("expect string"):
        found.text = unquote(text.removeprefix("expect string").strip())
    elif text.split(maxsplit=1)[0] == "expect":
        match = _EXPECT.fullmatch(text)
        if not match:
            raise ValueError(f"not an expectation: {text}")
        kind, form, words = match.groups()
        words = (words or "").strip()
        one = Expectation(pattern=words) if form == "regex" else Expectation(text=words)
        found.expects.setdefault(kind, []).append(one)
    elif (value := _alone(text)) is not None:
        found.scalar = value
    else:
        found.expected.append(parse_series(text))


def _alone(text: str) -> float | None:
    try:
        return number(text)
    except QueryError:
        return None


def duration_us(text: str) -> int:
    """Microseconds of a duration; `0` needs no unit."""
    return 0 if text == "0" else parse_duration(text)
