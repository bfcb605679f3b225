"""The supervisor from outside, over small fake processes: starting, restarting, ending, and being killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

from workbench import config
from workbench.serve.running import home

HERE = Path(__file__).parent


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Running:
    """A supervisor in a process of its own."""

    def __init__(self, settings: config.Settings, *children: str) -> None:
        self.settings = settings
        self.lasting = [name for name, _, mode in (child.partition("=") for child in children) if mode != "crash"]
        self.output = settings.home.parent / "terminal.txt"
        with self.output.open("ab") as terminal:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "fake_up.py"), str(settings.home), *children],
                stdout=terminal,
                stderr=terminal,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "example.org"},
                start_new_session=True,
            )

    def text(self) -> str:
        return self.output.read_text()

    def up(self, *names: str):
        """Wait until every child that is to last runs, and these wrote their note."""
        # Not until all is "running": with a child that crashes on purpose that is so for moments only.
        wait_for(lambda: self.states() == {"running"}, f"it runs: {self.text()}")
        for name in names:
            wait_for(lambda name=name: self.note(name), f"{name} runs")
        return self

    def states(self) -> set[str]:
        """Of the children that are to last, and "starting" while the whole is."""
        document = self.document() or {"state": "starting", "processes": []}
        whole = document["state"].replace("degraded", "running")
        return {whole, *(entry["state"] for entry in document["processes"] if entry["name"] in self.lasting)}

    def document(self):
        return home.running(self.settings)

    def note(self, name: str):
        file = self.settings.state_dir / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def entry(self, name: str):
        return next(entry for entry in self.document()["processes"] if entry["name"] == name)

    def stop(self, number: int = signal.SIGINT) -> int:
        os.killpg(self.process.pid, number)  # as a terminal does: to every process of the group
        return self.process.wait(timeout=60)


@pytest.fixture
def start(settings):
    started: list[Running] = []

    def begin(*children: str) -> Running:
        started.append(Running(settings, *children))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            family = psutil.Process(running.process.pid).children(recursive=True)
            for process in [*family, running.process]:
                process.kill()
            running.process.wait(timeout=60)
    shutil.rmtree(settings.runtime_dir, ignore_errors=True)


def ask(url: str) -> int:
    """The pid that answers at `url`; waits in the queue while nobody accepts."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = b""
        while len(part := connection.recv(1000)):
            answer += part
    return int(answer[-9:])


def test_it_starts_says_where_and_stops_on_ctrl_c(start, settings):
    running = start("front=serve", "agent=serve").up("front", "agent")
    document = running.document()
    assert [entry["name"] for entry in document["processes"]] == ["up", "front", "agent"]
    for entry in document["processes"]:
        assert entry["state"] == "running"
        assert alive(entry["pid"])
        assert entry["rss_bytes"] > 0
        assert entry["cpu_seconds"] >= 0
    link = re.search(r"Workbench: (http://127\.0\.0\.1:\d+)/signin#(\S+)", running.text())
    assert link[1] == document["url"]
    assert ask(document["url"]) == running.entry("front")["pid"]
    children = [running.note(name)["pid"] for name in ("front", "agent")]
    assert running.stop() == 0
    assert not any(alive(pid) for pid in children)
    assert home.running(settings) is None
    assert not settings.runtime_dir.exists()
    assert "front writes to its log" in (home.logs_dir(settings) / "front.log").read_text()


def test_children_find_the_same_workbench(start, settings):
    running = start("front=serve", "agent=serve").up("agent")
    found = running.note("agent")
    document = running.document()
    assert found["ports"]["main"] == int(document["url"].rpartition(":")[2])
    assert found["ports"]["grpc"] == int(document["grpc_url"].rpartition(":")[2])
    environment = found["environment"]
    assert Path(environment["WORKBENCH_HOME"]) == settings.home
    assert environment["NO_PROXY"].split(",") == ["example.org", "localhost", "127.0.0.1", "::1"]
    for variable in home.CACHES:
        assert Path(environment[variable]).is_relative_to(settings.home)
    config.load(environ=environment)  # no variable that the settings do not know


def test_no_secret_stands_in_a_process_list(start, settings):
    running = start("front=serve").up()
    wait_for(lambda: "/signin#" in running.text(), "the link")
    link = re.search(r"/signin#(\S+)", running.text())[1]
    token = (settings.runtime_dir / "ingest.token").read_text().strip()
    for entry in running.document()["processes"]:
        words = " ".join([*psutil.Process(entry["pid"]).cmdline(), *psutil.Process(entry["pid"]).environ().values()])
        assert link not in words
        assert token not in words
    for file in (settings.runtime_dir / "ingest.token", settings.up_file):
        assert file.stat().st_mode & 0o077 == 0
    assert settings.runtime_dir.stat().st_mode & 0o077 == 0
    assert settings.home.stat().st_mode & 0o077 == 0


def test_a_second_up_says_where_the_first_runs(start):
    running = start("front=serve").up()
    second = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "up", "--home", str(running.settings.home)],
        capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert second.returncode == 0
    assert running.document()["url"] in second.stdout
    assert running.process.poll() is None


def test_a_killed_child_starts_again_and_its_callers_wait(start):
    running = start("front=serve", "agent=serve").up("front", "agent")
    url, first = running.document()["url"], running.note("front")["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not alive(first), "it is dead")
    # Sent while nobody accepts: the supervisor holds the listening socket, so it is answered by the next one.
    second = ask(url)
    assert second != first
    assert wait_for(lambda: running.entry("front")["pid"] == second, "the new pid is shown")
    assert running.entry("front")["restarts"] == 1
    wait_for(lambda: "front ended with code -9" in running.text(), "the terminal says so")
    assert alive(running.note("agent")["pid"])
    assert running.stop() == 0


def test_children_end_when_the_supervisor_is_killed(start, settings):
    running = start("front=serve", "agent=serve").up("front", "agent")
    children = [running.note(name)["pid"] for name in ("front", "agent")]
    running.process.kill()
    running.process.wait(timeout=60)
    wait_for(lambda: not any(alive(pid) for pid in children), "the children end")
    assert home.running(settings) is None
    again = start("front=serve").up()
    assert again.stop() == 0


def test_everything_ends_also_what_hangs_crashes_or_was_started_by_a_child(start):
    running = start("front=serve", "stuck=stubborn", "broken=crash", "lab=parent").up("front", "stuck", "lab")
    wait_for(lambda: running.entry("broken")["restarts"] > 0, "the crashing one was started again")
    pids = [running.note(name)["pid"] for name in ("front", "stuck", "lab")] + [running.note("lab")["grandchild"]]
    assert all(alive(pid) for pid in pids)
    assert running.stop() == 0
    assert not any(alive(pid) for pid in pids)
    assert "stuck did not end when asked to" in running.text()
    assert "front did not end" not in running.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ways_of_ending_it_are_as_good(start, number):
    running = start("front=serve").up("front")
    running.process.send_signal(number)
    assert running.process.wait(timeout=60) == 0
    assert not alive(running.note("front")["pid"])


def test_grandchildren_of_a_killed_child_end_too(start):
    if sys.platform != "linux":
        pytest.skip("only Linux hands orphans to the supervisor")
    running = start("front=serve", "lab=parent").up("lab")
    orphan = running.note("lab")["grandchild"]
    os.kill(running.note("lab")["pid"], signal.SIGKILL)
    wait_for(lambda: running.entry("lab")["restarts"] == 1, "it was started again")
    assert running.stop() == 0
    assert not alive(orphan)


def test_a_child_that_keeps_crashing_is_shown_and_waits_longer_each_time(start):
    running = start("front=serve", "broken=crash").up("front")
    wait_for(lambda: running.document()["state"] == "degraded", "degraded")
    wait_for(lambda: running.text().count("broken ended with code 3") >= 3, "three tries")
    assert "broken.log" in running.text()
    assert "boom" in running.text()
    assert running.entry("front")["restarts"] == 0


def test_ctrl_c_while_it_starts(start, settings):
    running = start("front=crash")
    wait_for(
        lambda: (running.document() or {}).get("state") == "starting" and "front ended" in running.text(), "starting"
    )
    assert running.stop() == 0
    assert home.running(settings) is None


def test_a_terminal_that_is_gone_stops_nothing(start, settings):
    reader = subprocess.Popen(
        [sys.executable, str(HERE / "fake_up.py"), str(settings.home), "front=serve"],
        stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    try:
        reader.stdout.close()
        wait_for(lambda: (home.running(settings) or {}).get("state") == "running", "it runs")
    finally:
        reader.send_signal(signal.SIGTERM)
        assert reader.wait(timeout=60) == 0
