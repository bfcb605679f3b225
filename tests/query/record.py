"""What the current Prometheus answers to `questions` over the samples of `corpus`, kept in a file.

    python -m tests.query.record PROMETHEUS

asks the server PROMETHEUS (a path; v0.316.0 of the module github.com/prometheus/prometheus was used) and writes the
file anew. `go install github.com/prometheus/prometheus/cmd/prometheus@v0.316.0` builds one.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.query.corpus import BASE_S, series
from tests.query.prometheus import Prometheus
from tests.query.questions import questions

FILE = Path(__file__).parent / "expressions" / "recorded.jsonl.gz"
INSTANT = {"time": BASE_S + 1900}
RANGE = {"start": BASE_S + 600, "end": BASE_S + 3300, "step": 300}


def answers(server: Prometheus, expr: str) -> dict[str, Any]:
    """One question with its answers at one time and over a range."""
    at, over = server.ask("query", query=expr, **INSTANT), server.ask("query_range", query=expr, **RANGE)
    return {"query": expr, "instant": _kept(at), "range": _kept(over)}


def recorded() -> Iterator[dict[str, Any]]:
    """The answers in the file."""
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _kept(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in ("data", "error", "warnings", "infos") if name in answer}


def main(binary: str) -> None:
    """Ask everything and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        server = Prometheus(Path(folder), binary=binary)
        try:
            server.write(series())
            lines = [json.dumps(answers(server, expr), separators=(",", ":")) for expr in questions()]
        finally:
            server.close()
    FILE.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    print(f"{len(lines)} questions, {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
