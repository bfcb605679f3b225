"""The log, looked at whole: does it belong to the lake, is it without gaps, does every answered record verify?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from workbench.config import Settings
from workbench.errors import LogCorrupt
from workbench.store.batches import decode_present
from workbench.store.doctor.findings import Finding, Remedy, moment, several
from workbench.store.doctor.log_rebuild import rebuild
from workbench.store.doctor.log_scan import Scan, Span, readable, rows_said, scan_segment
from workbench.store.lake import Lake
from workbench.store.layout import published_path, segment_numbers, segment_path
from workbench.store.published import Published, read_identity
from workbench.store.wal import Header, Position, read_header


@dataclass
class LogState:
    """What is known of a log: its uuid, the segments that the lake does not hold yet, what is wrong."""

    uuid: str
    first: int
    faults: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    torn: str = ""


def check_log(settings: Settings, lake: Lake) -> Iterator[Finding]:
    """Findings about the log of a lake that can be read."""
    rebuilt = settings.log_dir.with_name("log.rebuilt")
    if rebuilt.exists() and not settings.log_dir.exists():
        yield Finding(
            "fail",
            "log: a rebuild was cut short before its last step",
            "",
            Remedy("finish it", lambda _: _finish(settings)),
        )
        return
    found = examine(settings, lake)
    if found is None:
        yield Finding("ok", "log: nothing there yet")
        return
    if not found.faults:
        records = sum(len(scan.records) for scan in found.scans)
        yield Finding("ok", f"log: {records} records in {len(found.scans)} unsealed segments, every checksum right")
        if found.torn:
            yield Finding("ok", f"log: {found.torn}")
        return
    text = "; ".join(found.faults)
    kept = sum(len(scan.records) for scan in found.scans)
    lost = f"{kept} records are whole" + (f"; lost: {several(found.lost, 5)}" if found.lost else ", none is lost")
    plan = f"move the log to quarantine and write it anew from its {kept} whole records"
    yield Finding(
        "fail",
        f"log: {text}. {lost}",
        "Look for the same rows at their senders, or in a backup, before you mend it." if found.lost else "",
        Remedy(plan, lambda quarantine: rebuild(settings, lake, found.uuid, found.first, found.scans, quarantine)),
    )


def _finish(settings: Settings) -> str:
    settings.log_dir.with_name("log.rebuilt").rename(settings.log_dir)
    return "the rebuilt log is in its place"


def examine(settings: Settings, lake: Lake) -> LogState | None:
    """Everything about the log; None where neither log nor lake has begun."""
    numbers = segment_numbers(settings)
    headers = {number: _header(settings, number) for number in numbers}
    of_lake = lake.log_identity()
    page_fault, of_page = _page_identity(settings)
    known = [header.log_uuid for header in headers.values() if header]
    uuid = of_lake or of_page or (max(known, key=known.count) if known else None)
    if uuid is None:
        return None
    manifest = lake.manifest()
    done = lake.sealed(f"log:{uuid}")
    first = (manifest.segment if manifest and manifest.segment else lake.first_segment - 1) + 1
    found = LogState(uuid, first)
    if page_fault:
        found.faults.append(page_fault)
    elif of_page is None and of_lake is not None:
        found.faults.append(f"the page of log {of_lake} is missing")
    elif of_page is not None and of_page != uuid:
        found.faults.append(f"the page is of log {of_page}, the lake of {uuid}")
    foreign = [number for number, header in headers.items() if header and header.log_uuid != uuid]
    if foreign:
        found.faults.append(f"segments of another log, which cannot be read into this lake: {_listed(foreign)}")
    mine = [number for number in numbers if number not in foreign]
    _check_numbers(found, mine, done)
    _scan(settings, found, [number for number in mine if number >= first], headers)
    broken = [number for number in mine if number < first and headers[number] is None]
    if broken:
        found.faults.append(f"the headers of segments {_listed(broken)} are damaged; the lake has their rows")
    return found


def _check_numbers(found: LogState, numbers: list[int], done: int | None) -> None:
    if not numbers:
        if done is not None:
            found.faults.append(f"there is no segment; the lake ends at segment {done}")
        return
    if done is not None and numbers[-1] <= done:
        found.faults.append(f"it ends at segment {numbers[-1]}, the lake at {done}: it is older than the lake")
    gaps = [
        (a + 1, b - 1) for a, b in pairwise([found.first - 1, *(n for n in numbers if n >= found.first)]) if b > a + 1
    ]
    for low, high in gaps:
        found.faults.append(f"segment {low}{f' to {high}' if high > low else ''} is missing")
        found.lost.append(f"all of segment {low}{f' to {high}' if high > low else ''}")
    inner = [a + 1 for a, b in pairwise(numbers) if b != a + 1 and a + 1 < found.first]
    found.faults += [f"sealed segment {number} is missing between others" for number in inner]


def _scan(settings: Settings, found: LogState, numbers: list[int], headers: dict[int, Header | None]) -> None:
    durable, abandoned = _page(settings)
    for number in numbers:
        path = segment_path(settings, number)
        following = headers.get(number + 1)
        if following is not None and following.log_uuid == found.uuid:
            scan = scan_segment(path, number, end=following.previous_bytes, tail=False)
        elif number + 1 in numbers:
            scan = scan_segment(path, number, end=None, tail=False)  # how much was answered, only the next header knew
        else:
            answered = durable.offset if durable.segment == number else 0
            stop = min(answered, abandoned.offset) if abandoned.segment == number else answered
            scan = scan_segment(path, number, end=stop, tail=abandoned.segment != number)
            rest = path.stat().st_size - scan.end
            if rest > 0:
                found.torn = f"{rest} bytes behind the last answered record, which the next start cuts"
        found.scans.append(scan)
        if scan.header is None:
            found.faults.append(f"the header of segment {number} is damaged")
        elif scan.header.number != number:
            found.faults.append(f"segment {number} says that it is number {scan.header.number}")
        for span in scan.lost:
            found.faults.append(f"segment {number} has no valid record from byte {span.start} to {span.end}")
            found.lost.append(_lost(scan, span))


def _lost(scan: Scan, span: Span) -> str:
    """What is known of the rows that a bad span held."""
    content = scan.path.read_bytes()
    said = rows_said(content, span)
    rows = ", ".join(f"{count} rows of {kind}" for kind, count in said.items())
    before = [_times(content, one) for one in scan.records if one.end <= span.start]
    after = [_times(content, one) for one in scan.records if one.start >= span.end]
    times = [bounds for bounds in (*before[-1:], *after[:1]) if bounds]
    when = (
        f", about {moment(min(low for low, _ in times))} to {moment(max(high for _, high in times))}" if times else ""
    )
    return f"{rows or f'{span.end - span.start} bytes'} of segment {scan.number}{when}"


def _times(content: bytes, span: Span) -> tuple[int, int] | None:
    payload = content[span.start + 8 : span.end]
    if not readable(payload):
        return None
    for _, batch in decode_present(payload):
        if "time" in batch.schema.names and batch.num_rows:
            times = batch.column("time").cast(pa.int64()).to_numpy()
            return int(np.min(times)), int(np.max(times))
    return None


def _header(settings: Settings, number: int) -> Header | None:
    try:
        return read_header(segment_path(settings, number))
    except LogCorrupt:
        return None


def _page_identity(settings: Settings) -> tuple[str, str | None]:
    try:
        return "", read_identity(published_path(settings))
    except LogCorrupt as error:
        return error.message, None


def _page(settings: Settings) -> tuple[Position, Position]:
    fault, identity = _page_identity(settings)
    if fault or identity is None:
        return Position(0, 0), Position(0, 0)
    page = Published(published_path(settings))
    found = page.position, page.abandoned
    page.close()
    return found


def _listed(numbers: list[int]) -> str:
    return several([str(number) for number in numbers])
