"""`workbench index` on a home that nobody runs."""

from __future__ import annotations

import time

import pytest

from workbench import config
from workbench.cli import main
from workbench.schema import KINDS
from workbench.store import Identity, open_writer


@pytest.fixture
def home(tmp_path):
    import pyarrow as pa

    settings = config.load(tmp_path / "home", environ={})
    with open_writer(settings) as writer:
        identity = Identity("prometheus", "m", "unknown", "", "", (), ())
        (series,) = writer.register([(identity, "", "")], "token:1")
        start_us = time.time_ns() // 1000 - 6 * 3_600_000_000
        rows = [{"series": series, "time": start_us + n * 60_000_000, "type": 0, "value": n / 2} for n in range(60)]
        writer.append({"samples": pa.RecordBatch.from_pylist(rows, schema=KINDS["samples"].schema)}).result()
        writer.seal()
    return settings.home


def run(capsys, *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    return code, capsys.readouterr().out


def test_the_index_is_made_looked_at_and_compared(home, capsys):
    assert "0 answer, 0 are stale" in run(capsys, "index", "status", "--home", str(home))[1]
    assert "60 samples" in run(capsys, "index", "rebuild", "--home", str(home))[1]
    said = run(capsys, "index", "status", "--home", str(home))[1]
    assert "0 are stale, 0 wait" in said
    assert "samples       60" in said
    code, said = run(capsys, "index", "verify", "--home", str(home))
    assert code == 0
    assert "blocks say what the rows say" in said
    victim = next((home / "index").glob("*.chunks"))
    victim.write_bytes(victim.read_bytes()[:-9])
    code, said = run(capsys, "index", "verify", "--home", str(home))
    assert code == 1
    assert "bytes long" in said
