"""Importing files: read, register, load piece by piece, so that a broken-off import goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from workbench.config import Ingest, Settings
from workbench.errors import InputError
from workbench.ingest.files.events import read_events
from workbench.ingest.files.lines import COSTS, USAGE, read_lines
from workbench.ingest.files.openmetrics import read_openmetrics
from workbench.ingest.files.piece import BadRow, Piece, RecordPiece
from workbench.ingest.files.tables import read_csv, read_parquet
from workbench.ingest.identity_rules import check_identity
from workbench.ingest.points import Rows
from workbench.ingest.refusals import MAX_PAYLOAD_CHARACTERS, REASONS, SAMPLES
from workbench.schema import KINDS
from workbench.store import Identity, attach

if TYPE_CHECKING:
    from workbench.store import RemoteWriter, Writer

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and the name of the file under way."""

IMPORTED = ("samples", "events", "usage", "costs")
"""Kinds of tables that files can be imported into."""

PLAN_VERSION = 1
"""Of how files are cut into pieces; part of a load's id, so that a new version never resumes an old plan."""

MAX_BAD_ROWS_PER_PIECE = 1000
"""Dead letters with a line of their own; the rest of a piece's bad rows share one that counts them."""

_COMPRESSED = (".gz", ".bz2", ".zst")


@dataclass(frozen=True)
class ImportResult:
    """What an import did. `rows`: of the kind, as they were read; `resumed`: pieces that an earlier run had loaded.

    `series` is 0 for kinds other than samples.
    """

    kind: str
    files: int
    rows: int
    series: int
    rejected: int
    resumed: int
    lake_version: str

    def __str__(self) -> str:
        what = f"samples of {self.series} series" if self.kind == "samples" else f"rows of {self.kind}"
        bad = f", {self.rejected} bad rows (see table dead_letter)" if self.rejected else ""
        again = f", {self.resumed} pieces were there already" if self.resumed else ""
        return f"imported {self.rows} {what} from {self.files} files{bad}{again}"


def import_files(
    paths: Iterable[str | Path],
    *,
    kind: str = "samples",
    mapping: Mapping[str, str] | None = None,
    settings: Settings,
    progress: Progress | None = None,
) -> ImportResult:
    """Bring files into the lake, through the hub where one runs: CSV, Parquet, OpenMetrics text; JSON for events.

    `mapping` says which column is what (`lay_out`, `assign`); for OpenMetrics and JSON it must be empty. Any time is
    accepted. Running the same import again loads only what is missing. Raises InputError (before anything is written
    where a file is missing or its columns do not fit), Busy over `ingest.max_series`, StoreError.
    """
    if kind not in IMPORTED:
        raise InputError(f"{kind!r} cannot be imported", where="kind", hint=f"Kinds: {', '.join(IMPORTED)}.")
    files = [Path(path) for path in paths]
    mapping = dict(mapping or {})
    for file in files:
        if not file.is_file():
            raise InputError("there is no such file", where=str(file))
        next(_pieces(file, kind, mapping, settings.ingest), None)
    total = sum(file.stat().st_size for file in files)
    done = 0
    tally: Counter[str] = Counter()
    series: set[int] = set()
    with attach(settings) as writer:
        for file in files:
            size = file.stat().st_size
            load = _Load(writer, settings, file, _load_id(file, kind, mapping))
            for number, piece in enumerate(_pieces(file, kind, mapping, settings.ingest), 1):
                tally.update(load.take(number, piece))
                if progress:
                    progress(done + round(size * piece.share), total, file.name)
            series |= load.series
            done += size
            if progress:
                progress(done, total, file.name)
        version = writer.seal()
    return ImportResult(kind, len(files), tally["rows"], len(series), tally["rejected"], tally["resumed"], version)


def _pieces(file: Path, kind: str, mapping: Mapping[str, str], limits: Ingest) -> Iterator[Piece | RecordPiece]:
    if kind == "events":
        return read_events(file, mapping, limits)
    if kind != "samples":
        return read_lines(file, USAGE if kind == "usage" else COSTS, mapping, limits.max_label_bytes)
    suffixes = [suffix for suffix in file.suffixes if suffix not in _COMPRESSED]
    suffix = suffixes[-1].lower() if suffixes else ""
    if suffix in (".parquet", ".pq"):
        return read_parquet(file, mapping)
    if suffix == ".csv":
        return read_csv(file, mapping)
    if suffix in (".om", ".openmetrics", ".prom", ".txt"):
        if mapping:
            raise InputError("OpenMetrics text says itself what is what", where=str(file), hint="Leave --map away.")
        return read_openmetrics(file)
    raise InputError(
        f"{suffix or 'a file without ending'} is not known", where=str(file),
        hint="Endings: .csv, .parquet, .om or .prom (OpenMetrics text), also compressed (.csv.gz).",
    )  # fmt: skip


def _load_id(file: Path, kind: str, mapping: Mapping[str, str]) -> str:
    """The same for the same content read in the same way, whatever the file is called or where it lies."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    # The name is part of it where it names the series.
    plan = [PLAN_VERSION, kind, sorted(mapping.items()), file.name]
    digest.update(json.dumps(plan).encode())
    return str(uuid.UUID(digest.hexdigest()[:32]))


class _Load:
    """One file on its way into the lake."""

    def __init__(self, writer: Writer | RemoteWriter, settings: Settings, file: Path, load_id: str) -> None:
        self.series: set[int] = set()
        self._writer = writer
        self._limits = settings.ingest
        self._file = file
        self._id = load_id
        self._source = f"import:{file.name}"
        self._ids: dict[Identity, int] = {}

    def take(self, number: int, piece: Piece | RecordPiece) -> dict[str, int]:
        """Load a piece; counts of `rows`, `rejected` and `resumed`."""
        kind, batch, bad = (
            (piece.kind, piece.batch, piece.bad) if isinstance(piece, RecordPiece) else self._samples(piece)
        )
        batches = {kind: batch}
        if bad:
            batches["dead_letter"] = self._dead_letters(bad)
        if not self._writer.load(self._id, number, batches):
            return {"resumed": 1}
        SAMPLES.labels("import", "accepted", "").inc(batch.num_rows)
        for reason, count in Counter(row.reason for row in bad).items():
            SAMPLES.labels("import", "rejected", reason).inc(count)
        return {"rows": batch.num_rows, "rejected": len(bad)}

    def _samples(self, piece: Piece) -> tuple[str, pa.RecordBatch, list[BadRow]]:
        """The rows of a piece whose series are registered, and the bad ones."""
        ids, bad = self._register(piece)
        ids_of_rows = ids[piece.series] if len(ids) else piece.series
        kept = np.flatnonzero(ids_of_rows > 0)
        self.series.update(np.unique(ids_of_rows[kept]).tolist())
        return "samples", _batch(piece, ids_of_rows, kept), [*piece.bad, *bad]

    def _register(self, piece: Piece) -> tuple[np.ndarray, list[BadRow]]:
        """Id of each member, 0 for one that is refused; and the rows of the refused."""
        new = [m for m in dict.fromkeys(piece.members) if m.identity not in self._ids]
        judged = [(m.identity, check_identity(m.identity, self._limits, anonymous=False)) for m in new]
        refused = {identity: refusal for identity, refusal in judged if refusal is not None}
        fine = [m for m in new if m.identity not in refused]
        if fine:
            given = self._writer.register([(m.identity, m.description, m.scope) for m in fine], self._source)
            self._ids.update(zip((m.identity for m in fine), given, strict=True))
        ids = np.array([self._ids.get(m.identity, 0) for m in piece.members], np.int64)
        bad = []
        for row in np.flatnonzero(ids[piece.series] == 0) if len(ids) else ():
            refusal = refused.get(piece.members[piece.series[row]].identity)
            if refusal is not None:
                bad.append(BadRow(int(piece.lines[row]), REASONS[refusal.reason], refusal.where, refusal.reason))
        return ids, bad

    def _dead_letters(self, bad: list[BadRow]) -> pa.RecordBatch:
        alone, rest = bad[:MAX_BAD_ROWS_PER_PIECE], bad[MAX_BAD_ROWS_PER_PIECE:]
        rows = [self._dead_letter(row, 1) for row in alone]
        if rest:
            rows.append(self._dead_letter(rest[0], len(rest)))
        return pa.RecordBatch.from_pylist(rows, schema=KINDS["dead_letter"].schema)

    def _dead_letter(self, row: BadRow, count: int) -> dict[str, Any]:
        return {
            "id": uuid.uuid4().hex,
            "time": time.time_ns() // 1000,
            "door": "import",
            "source": self._source,
            "where": f"{self._file}:{row.line}",
            "reason": row.reason,
            "message": row.message,
            "payload": row.text[:MAX_PAYLOAD_CHARACTERS],
            "count": count,
        }


def _batch(piece: Piece, ids: np.ndarray, kept: np.ndarray) -> pa.RecordBatch:
    none = np.zeros(len(kept), np.int64)
    bits = np.ascontiguousarray(piece.values[kept]).view(np.uint64)
    return Rows(ids[kept], piece.times_us[kept], bits, none, none.astype(bool)).batch()
