"""The commands, run as a person runs them, on a home where nothing runs."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from workbench import cli
from workbench.cli.answers import write_answer
from workbench.query import Result
from workbench.serve.identity import people
from workbench.store import state

COMMANDS = ("up", "open", "import", "query", "report", "rules", "status", "doctor", "token")


@pytest.fixture
def run(settings, capsys):
    """(exit code, standard output, standard error) of a command on an empty home."""

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = cli.main([*arguments, "--home", str(settings.home)])
        except SystemExit as ended:  # argparse
            code = int(ended.code or 0)
        found = capsys.readouterr()
        return code, found.out, found.err

    return command


def test_help_names_every_command_and_loads_nothing_dear():
    script = (
        "import sys; from workbench import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print('\\nMODULES', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    text, _, modules = out.partition("MODULES")
    for command in COMMANDS:
        assert re.search(rf"^    {command}\b", text, re.MULTILINE), command
    assert not set(modules.split()) & {"numpy", "pyarrow", "sqlalchemy", "starlette", "uvicorn", "structlog", "psutil"}


@pytest.mark.parametrize("command", [*COMMANDS[:-1], "token create", "token list", "token revoke"])
def test_every_command_takes_a_home(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "--home DIR" in capsys.readouterr().out


def test_the_roles_of_the_command_line_are_those_of_the_state():
    from workbench.cli.parser import ROLES

    assert ROLES == people.ROLES


def test_status_of_a_stopped_workbench(run):
    code, out, _ = run("status", "--json")
    document = json.loads(out)
    assert code == 3
    assert set(document) == {
        "state", "url", "notebook_url", "ingest_url", "grpc_url", "version", "lake_version", "processes",
    }  # fmt: skip
    assert document["state"] == "stopped"
    assert document["processes"] == []
    assert document["url"] is None
    assert run("status")[0] == 3


def test_open_says_that_nothing_runs(run):
    code, out, err = run("open")
    assert (code, out) == (1, "")
    assert "workbench up" in err


def test_tokens_are_created_listed_and_revoked(run, settings):
    code, out, _ = run("token", "create", "--role", "viewer", "--expires", "30d", "--name", "phone")
    assert code == 0
    token = out.strip()
    engine = state.engine(settings)
    assert people.find_token(engine, token) == people.Person("token:1", "viewer")
    code, out, _ = run("token", "list")
    assert "viewer" in out
    assert "phone" in out
    assert "valid until" in out
    assert token not in out
    assert run("token", "revoke", "1")[0] == 0
    assert people.find_token(engine, token) is None
    assert "revoked" in run("token", "list")[1]
    code, _, err = run("token", "revoke", "1")
    assert code == 1
    assert "no valid token 1" in err
    engine.dispose()
    assert settings.home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "arguments",
    [("token", "create"), ("token", "create", "--role", "root"), ("fly",), (), ("up", "--port", "70000"),
     ("up", "--port", "x"), ("query",), ("query", "up", "--format", "xml"), ("rules", "burn")],
)  # fmt: skip
def test_what_is_asked_for_wrongly_ends_with_two(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "usage:" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("token", "create", "--role", "viewer", "--expires", "soon"), "--expires"),
     (("query", "up", "--start", "-1h"), "--step"),
     (("query", "up", "--time", "later"), "--time"),
     (("query", "up", "--time", "now", "--start", "-1h", "--end", "now", "--step", "15s"), "--time"),
     (("report", "daily_report", "--date", "today"), "--date"),
     (("rules", "check"), "rule files")],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert err.startswith("workbench: ")
    assert err.count("\n") == 1


def test_a_fault_in_the_settings_ends_with_two(run, settings):
    settings.home.mkdir(parents=True)
    (settings.home / "workbench.toml").write_text("[ingest]\nprot = 1\n")
    code, _, err = run("status")
    assert code == 2
    assert "'ingest.port'" in err


def test_the_home_may_come_from_the_environment(settings, tmp_path):
    environment = {**os.environ, "WORKBENCH_HOME": str(settings.home)}
    command = [sys.executable, "-m", "workbench.cli"]
    made = subprocess.run(
        [*command, "token", "create", "--role", "ingest"], env=environment, capture_output=True, cwd=ROOT, check=True
    )
    assert made.stdout.startswith(b"wb_")
    assert (settings.state_dir / "state.db").exists()


def test_a_port_that_was_asked_for_and_is_taken_ends_up_with_two(settings):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        flags = ["--port", "0", "--notebook-port", "0", "--grpc-port", "0", "--ingest-port", port]
        ended = subprocess.run(
            [sys.executable, "-m", "workbench.cli", "up", "--home", str(settings.home), "--no-browser", *flags],
            capture_output=True, text=True, cwd=ROOT, timeout=60,
        )  # fmt: skip
    assert ended.returncode == 2
    assert port in ended.stderr
    assert f"pid {os.getpid()}" in ended.stderr
    assert "--ingest-port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_doctor_finds_a_new_home_well(run):
    code, out, _ = run("doctor")
    faults = [line for line in out.splitlines() if line.startswith("FAIL") and "pages" not in line]
    assert faults == []
    assert code in (0, 1)
    assert "disk:" in out


def test_doctor_names_what_is_broken_and_what_to_do(run, settings):
    run("token", "create", "--role", "viewer")
    (settings.state_dir / "state.db").write_bytes(b"no database at all" * 300)
    settings.home.chmod(0o755)
    code, out, _ = run("doctor")
    assert code == 1
    assert "FAIL  state:" in out
    assert "restore" in out
    assert "chmod 700" in out


def test_a_statement_is_answered(run, settings, tmp_path):
    settings.home.mkdir(parents=True)
    code, out, _ = run("query", "--sql", "SELECT 'a' AS name, 2.5 AS value, MAP {'k': 'v'} AS labels, NULL AS nothing")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [["name", "value", "labels", "nothing"], ["a", "2.5", "k=v"]]
    code, out, _ = run("query", "--sql", "SELECT DATE '2026-01-02' AS day", "--format", "json")
    assert json.loads(out)["data"]["rows"] == [["2026-01-02"]]
    file = tmp_path / "out.parquet"
    assert run("query", "--sql", "SELECT 1 AS one", "--format", "parquet", "--output", str(file))[0] == 0
    assert pq.read_table(file).to_pylist() == [{"one": 1}]
    for arguments, message in ((("SELECT x",), "character 8"), (("SELECT 1", "--time", "now"), "--sql")):
        code, _, err = run("query", "--sql", *arguments)
        assert code == 1
        assert message in err


def result() -> Result:
    labels = [{"__name__": "up", "job": "a, b"}, {"__name__": "up", "job": 'c"d'}]
    times = np.array([1_800_000_000_000_000, 1_800_000_015_000_000])
    values = np.array([[1.0, 2.5], [0.0, np.inf]])
    return Result("matrix", labels, times, values, np.array([[True, True], [False, True]]), "7")


def written(form: str, found: Result) -> bytes:
    out = io.BytesIO()
    write_answer(found, form, out)
    return out.getvalue()


def test_a_result_in_every_format():
    found = result()
    document = json.loads(written("json", found))
    first, second = document["data"].pop("result")
    assert document == {"status": "success", "data": {"resultType": "matrix"}}
    assert first == {
        "metric": {"__name__": "up", "job": "a, b"},
        "values": [[1_800_000_000, "1"], [1_800_000_015, "2.5"]],
    }
    assert second["values"] == [[1_800_000_015, "+Inf"]]
    rows = list(csv.DictReader(io.StringIO(written("csv", found).decode())))
    assert [(row["job"], float(row["value"])) for row in rows] == [("a, b", 1.0), ("a, b", 2.5), ('c"d', float("inf"))]
    assert pq.read_table(io.BytesIO(written("parquet", found))).equals(found.to_table())
    lines = written("table", found).decode().splitlines()
    assert lines[0].split() == ["__name__", "job", "time", "value"]
    assert lines[1].endswith("1")
    assert "2027-01-15T08:00:15.000Z" in lines[2]
    assert len(lines) == 4


def test_an_empty_result_is_said_to_be_empty():
    nothing = Result("vector", [], np.array([1]), np.empty((0, 1)), np.empty((0, 1), bool), "")
    assert written("table", nothing) == b"(empty result)\n"
    text = Result.of_text("hello", np.array([1]), "")
    assert written("table", text) == b"hello\n"
    assert json.loads(written("json", text))["data"]["resultType"] == "string"


def test_import_then_query_on_a_stopped_workbench(run, settings, tmp_path):
    file = tmp_path / "heat.csv"
    file.write_text("when,degrees\n2026-11-24T08:00:00Z,20.5\n2026-11-24T08:01:00Z,21\nnever,22\n")
    mapping = ("--map", "when=time", "--map", "degrees=value")
    code, out, err = run("import", str(file), "--kind", "samples", *mapping)
    assert code == 0, err
    assert "2 samples" in out
    assert "1 bad row" in out
    code, out, err = run("query", "heat", "--time", "2026-11-24T08:01:30Z", "--format", "json")
    assert code == 0, err
    document = json.loads(out)
    assert document["status"] == "success"
    version = json.loads(run("status", "--json")[1])["lake_version"]
    assert version
