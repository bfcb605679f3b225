"""`workbench rows …`, `backup` and `restore`, run as a person runs them."""

from __future__ import annotations

import json

import pytest

from workbench import cli, config
from workbench.cli.parser import IMPORTED
from workbench.ingest.files.load import IMPORTED as KINDS
from workbench.serve.running import home
from workbench.store import open_view


@pytest.fixture
def run(settings, capsys):
    def command(*arguments: str, at=settings.home) -> tuple[int, str, str]:
        code = cli.main([*arguments, "--home", str(at)])
        found = capsys.readouterr()
        return code, found.out, found.err

    return command


def test_rows_are_set_listed_and_removed(run, settings):
    assert run("rows", "list") == (0, "", "")
    assert run("rows", "set", "role:viewer", '{domain=~"arts|law"}')[1] == 'role:viewer sees {domain=~"arts|law"}\n'
    code, _, error = run("rows", "set", "user:nobody", '{domain="arts"}')
    assert (code, "no user 'nobody'" in error) == (1, True)
    assert 'role:viewer          {domain=~"arts|law"}' in run("rows", "list")[1]
    assert run("rows", "remove", "role:viewer")[1] == "role:viewer sees all rows\n"
    assert run("rows", "remove", "role:viewer")[0] == 1
    kept = open_view(settings).table("audit").sort_by("time").to_pylist()
    assert [(row["action"], row["target"]) for row in kept] == [
        ("rows.set", "role:viewer"), ("rows.remove", "role:viewer")
    ]  # fmt: skip


def test_import_knows_its_kinds():
    assert IMPORTED == KINDS


def test_a_home_is_backed_up_and_restored(run, tmp_path, settings):
    file, elsewhere, copy = tmp_path / "x.csv", tmp_path / "elsewhere", tmp_path / "copy"
    file.write_text("time,value\n1700000000,41\n")
    assert run("import", str(file))[0] == 0
    events = tmp_path / "e.ndjson"
    event = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "time": "2026-01-01T00:00:00Z"}
    events.write_text(json.dumps(event))
    assert "imported 1 rows of events" in run("import", "--kind", "events", str(events))[1]
    assert "lake version 0" in run("backup", str(copy))[1]
    code, out, _ = run("restore", str(copy), at=elsewhere)
    assert (code, "restored at lake version 0" in out) == (0, True)
    assert " 41\n" in run("query", "x", "--time", "1700000000", at=elsewhere)[1]
    # The same import again: the copy knows that it is there.
    assert "1 pieces were there already" in run("import", str(file), at=elsewhere)[1]
    assert run("doctor", at=elsewhere)[1].count("FAIL") == run("doctor")[1].count("FAIL")
    assert run("restore", str(copy), at=elsewhere)[0] == 1
    assert "what was there before is in" in run("restore", str(copy), "--force", at=elsewhere)[1]


def test_restore_refuses_a_home_that_runs(run, tmp_path, settings):
    run("rows", "list")
    assert home.take_lock(settings) is not None
    code, _, error = run("restore", str(tmp_path / "copy"), "--force")
    assert (code, "runs on this home" in error) == (1, True)
    assert config.load(settings.home, environ={}).home.exists()
