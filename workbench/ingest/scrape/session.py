"""What one target's scrapes become: bodies in, rows of `samples` out, with staleness markers. No clock, no network.

The order of things is Prometheus': labels of the target meet those of the sample (`honor_labels`), then
`metric_relabel_configs`, then the limits. A series that is not there any more gets a staleness marker, unless it came
with a time of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.ingest.points import Member, Rows
from workbench.ingest.prometheus.write import NATIVE
from workbench.ingest.scrape.exposition import Families, Sample, read_series
from workbench.ingest.scrape.relabel import relabel
from workbench.ingest.scrape.settings import Job, Limits
from workbench.ingest.scrape.targets import Target
from workbench.schema import STALE_NAN_BITS
from workbench.store import Identity

REPORTS = {
    "up": ("gauge", "1 if the target could be scraped, 0 if not."),
    "scrape_duration_seconds": ("gauge", "Duration of the scrape."),
    "scrape_samples_scraped": ("gauge", "Samples that the target exposed."),
    "scrape_samples_post_metric_relabeling": ("gauge", "Samples that were left after metric relabelling."),
    "scrape_series_added": ("gauge", "Approximate number of new series in this scrape."),
}
"""What a scrape says of itself, beside what it found: name -> (type, help)."""

RETRY_SCRAPES = 20
"""After so many scrapes a series that was refused is tried again: a limit may have been raised."""

_SUMMED = ("counter", "histogram", "summary")


@dataclass(slots=True)
class Entry:
    """A series of a target: who it is (None: dropped by relabelling) and its id (0: not entered yet)."""

    member: Member | None
    series: int = 0
    seen: int = 0
    retry: int = 0
    newest_us: int = 0
    origin: tuple[Any, ...] | None = None
    creates: bool = False
    """`origin` names the counter, histogram or summary it belongs to; with `creates` its value says since when."""


@dataclass
class Scrape:
    """What one scrape brought: entries with their samples, each series once; how much was exposed, left, new."""

    time_us: int
    number: int
    samples: list[tuple[Entry, Sample]] = field(default_factory=list)
    exposed: int = 0
    left: int = 0
    added: int = 0
    refused: int = 0
    failed: bool = False


class Session:
    """The series of one target, from scrape to scrape. `take`, `unknown`, `rows`, `done` in this order."""

    def __init__(self, target: Target, job: Job) -> None:
        self._entries: dict[str, Entry] = {}
        self._present: frozenset[int] = frozenset()
        self._number = 0
        self._native: set[int] = set()
        self.configure(target, job)

    def configure(self, target: Target, job: Job) -> None:
        """Go on with other settings of the job. What they leave out goes stale with the next scrape."""
        self._labels = dict(target.labels)
        self._job = job
        self._entries = {}
        attributes = tuple(sorted((name, value) for name, value in self._labels.items() if name != "__name__"))
        self._reports = {
            name: Entry(Member(Identity("prometheus", name, type_, "", "", (), attributes), help_, ""))
            for name, (type_, help_) in REPORTS.items()
        }

    @property
    def known(self) -> dict[str, Entry]:
        """The series seen lately, by their text."""
        return self._entries

    def nothing(self, time_us: int, exposed: Scrape | None = None) -> Scrape:
        """A scrape that failed; with what a body of it exposed before it was refused."""
        self._number += 1
        empty = Scrape(time_us, self._number, failed=True)
        if exposed is not None:
            empty.exposed, empty.left = exposed.exposed, exposed.left
            empty.added = min(exposed.added, self._job.limits.samples or exposed.added)
        return empty

    def take(self, samples: Iterator[Sample], families: Families, scrape: Scrape) -> None:
        """Read a body into `scrape`. Raises InputError where it cannot be read or is over a limit."""
        limits = self._job.limits
        for given in samples:
            scrape.exposed += 1
            entry = self._entries.get(given.series)
            if entry is None:
                native = given.histogram is not None
                entry = self._entries[given.series] = self._enter(given.series, families, limits, native=native)
                scrape.added += entry.member is not None
            again = entry.seen == scrape.number
            entry.seen = scrape.number
            if entry.member is None:
                continue
            scrape.left += 1
            sample = given if self._job.honor_timestamps or not given.time_us else given._replace(time_us=0)
            if sample.time_us:
                if sample.time_us <= entry.newest_us:
                    continue
            elif again:
                continue  # of two samples of one series and time, the first counts
            scrape.samples.append((entry, sample))
        if limits.samples and scrape.left > limits.samples:
            raise InputError(f"sample limit exceeded: {scrape.left} samples, sample_limit is {limits.samples}")

    def begin(self, time_us: int) -> Scrape:
        """A scrape that is to be filled by `take`."""
        self._number += 1
        return Scrape(time_us, self._number)

    def unknown(self, scrape: Scrape) -> list[Entry]:
        """The entries of a scrape whose series are to be entered, and those that were refused long ago."""
        wanted: dict[int, Entry] = {}
        for entry in (*(entry for entry, _ in scrape.samples), *self._reports.values()):
            if entry.series == 0 or (entry.series < 0 and entry.retry <= scrape.number):
                wanted[id(entry)] = entry
        return list(wanted.values())

    def entered(self, entries: Sequence[Entry], ids: Sequence[int | None], scrape: Scrape) -> None:
        """Take the ids of `unknown`; None is a series that was refused."""
        for entry, series in zip(entries, ids, strict=True):
            entry.series = -1 if series is None else series
            entry.retry = scrape.number + RETRY_SCRAPES

    def rows(self, scrape: Scrape, duration_seconds: float) -> tuple[Rows, frozenset[int]]:
        """Rows of a scrape, of the series that went and of the report; and the series that are present now."""
        starts = {
            entry.origin: round(sample.value * 1e6)
            for entry, sample in scrape.samples
            if entry.creates and sample.value > 0
        }
        table = _Table()
        present: set[int] = set()
        scrape.refused = 0
        for entry, sample in scrape.samples:
            if entry.series <= 0:
                scrape.refused += 1
                continue
            if sample.time_us:
                entry.newest_us = sample.time_us
                if self._job.track_timestamps_staleness:
                    present.add(entry.series)
            elif entry.series in present:  # two texts, one series after relabelling
                continue
            else:
                present.add(entry.series)
            start_us = sample.start_us
            if starts and not entry.creates:
                start_us = starts.get(entry.origin, start_us)
            if sample.histogram is not None:
                self._native.add(entry.series)
                table.histograms[len(table.series)] = sample.histogram
            table.add(entry.series, sample.time_us or scrape.time_us, sample.value, start_us, sample.exemplar)
        for series in sorted(self._present - present):
            table.add_stale(series, scrape.time_us, native=series in self._native)
        figures = (0.0 if scrape.failed else 1.0, duration_seconds, scrape.exposed, scrape.left, scrape.added)
        for entry, value in zip(self._reports.values(), figures, strict=True):
            if entry.series > 0:
                table.add(entry.series, scrape.time_us, float(value), 0, None)
        return table.rows(), frozenset(present)

    def done(self, scrape: Scrape, present: frozenset[int]) -> None:
        """The rows are kept: forget the series that a good scrape no longer had."""
        self._present = present
        if not scrape.failed:
            self._entries = {text: entry for text, entry in self._entries.items() if entry.seen == scrape.number}

    def end(self, time_us: int) -> Rows:
        """The target is gone: staleness markers for all of its series, the report's too."""
        table = _Table()
        reports = {entry.series for entry in self._reports.values() if entry.series > 0}
        for series in sorted(self._present | reports):
            table.add_stale(series, time_us, native=series in self._native)
        return table.rows()

    def _enter(self, text: str, families: Families, limits: Limits, *, native: bool) -> Entry:
        labels = read_series(text)
        name = labels.get("__name__", "")
        family = families.of(name)
        type_ = families.type.get(family, "unknown")
        for bound in ("le", "quantile"):
            if bound in labels and type_ == ("summary" if bound == "quantile" else "histogram"):
                labels[bound] = _canonical(labels[bound])
        kept = relabel(self._with_target(labels), self._job.metric_relabel)
        if kept is None:
            return Entry(None)
        _check(kept, limits)
        named = kept.pop("__name__", "")
        if not named:
            raise InputError(f"{text[:200]}: relabelling left it no name")
        identity = Identity(
            "prometheus", named, type_, families.unit.get(family, ""), "", (), tuple(sorted(kept.items()))
        )
        if native:
            identity = replace(identity, type=NATIVE)
        entry = Entry(Member(identity, families.help.get(family, ""), ""))
        if type_ in _SUMMED:
            shared = sorted(pair for pair in labels.items() if pair[0] not in ("__name__", "le", "quantile"))
            entry.origin, entry.creates = (family, tuple(shared)), name == f"{family}_created"
        return entry

    def _with_target(self, labels: dict[str, str]) -> dict[str, str]:
        """The labels of a sample with those of its target; of two the target's wins unless labels are honoured."""
        if self._job.honor_labels:
            return {**self._labels, **labels}
        clash = {name: value for name, value in labels.items() if name in self._labels and value}
        found = {**labels, **self._labels}
        for name, value in sorted(clash.items()):
            moved = f"exported_{name}"
            while moved in found:
                moved = f"exported_{moved}"
            found[moved] = value
        return found


@dataclass
class _Table:
    """Rows under way."""

    series: list[int] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    starts_us: list[int] = field(default_factory=list)
    stale: list[bool] = field(default_factory=list)
    exemplars: dict[int, dict[str, Any]] = field(default_factory=dict)
    histograms: dict[int, dict[str, Any] | None] = field(default_factory=dict)

    def add(self, series: int, time_us: int, value: float, start_us: int, exemplar: dict[str, Any] | None) -> None:
        if exemplar is not None:
            self.exemplars[len(self.series)] = {**exemplar, "time": exemplar["time"] or time_us}
        self.series.append(series)
        self.times_us.append(time_us)
        self.values.append(value)
        self.starts_us.append(start_us)
        self.stale.append(False)

    def add_stale(self, series: int, time_us: int, *, native: bool) -> None:
        if native:
            self.histograms[len(self.series)] = None
        self.add(series, time_us, 0.0, 0, None)
        self.stale[-1] = True

    def rows(self) -> Rows:
        stale = np.array(self.stale, bool)
        bits = np.array(self.values, np.float64).view(np.uint64)
        return Rows(
            np.array(self.series, np.int64),
            np.array(self.times_us, np.int64),
            np.where(stale, np.uint64(STALE_NAN_BITS), bits),
            np.array(self.starts_us, np.int64),
            stale,
            histograms=self.histograms,
            exemplars=self.exemplars,
        )


def _check(labels: dict[str, str], limits: Limits) -> None:
    """Raises InputError for labels over the limits of the job."""
    name = labels.get("__name__", "")[:50]
    if limits.labels and len(labels) > limits.labels:
        raise InputError(f"label_limit exceeded: {name} has {len(labels)} labels, label_limit is {limits.labels}")
    for key, value in labels.items():
        if limits.label_name_bytes and len(key.encode()) > limits.label_name_bytes:
            raise InputError(f"label_name_length_limit exceeded: {name}, label {key[:50]}")
        if limits.label_value_bytes and len(value.encode()) > limits.label_value_bytes:
            raise InputError(f"label_value_length_limit exceeded: {name}, label {key[:50]}")


def _canonical(bound: str) -> str:
    """A bucket bound or quantile as Prometheus 3 keeps it: `1` is `1.0`, so that both formats give one series."""
    try:
        value = Decimal(repr(float(bound))).normalize()
    except (ValueError, ArithmeticError):
        return bound
    if not value.is_finite():
        return "NaN" if value.is_nan() else "-Inf" if value < 0 else "+Inf"
    exponent = value.adjusted()
    if value and not -4 <= exponent < 6:
        return f"{value.scaleb(-exponent):f}e{exponent:+03d}"
    text = f"{value:f}"
    return text if "." in text else f"{text}.0"
