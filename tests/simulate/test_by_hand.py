"""Incidents that are started by hand, and the command line that starts them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.simulate.moments import STEP_US
from workbench import config
from workbench.cli import main
from workbench.errors import InputError, WorkbenchError
from workbench.simulate import KINDS, Incident, incidents, start, started
from workbench.simulate.by_hand import started_file
from workbench.simulate.progress import Progress

SECOND_US = 1_000_000


@pytest.fixture
def running(settings: config.Settings) -> config.Settings:
    """A home whose demo says that it runs."""
    config.ensure_private_dir(settings.runtime_dir)
    (settings.runtime_dir / "demo.json").write_text("{}")
    return settings


def test_it_begins_at_the_next_steps_and_is_kept(running):
    before_us = time.time_ns() // 1000
    first = start(running, "llm_outage", duration_seconds=600, target="gcp.gemini")
    second = start(running, "cache_stampede")
    assert before_us < first.start_us <= time.time_ns() // 1000 + 2 * STEP_US
    assert first.start_us % STEP_US == 0
    assert first.end_us - first.start_us == 600 * SECOND_US
    assert second.end_us - second.start_us == 300 * SECOND_US, "as long as its kind"
    assert started(running) == (first, second)
    assert first in incidents(42, before_us, first.end_us, started(running))
    assert first not in incidents(42, before_us, first.end_us)


def test_the_truth_knows_it(running):
    progress = Progress(running, time.time_ns() // 1000)
    one = start(running, "gpu_throttling", duration_seconds=60)
    progress.write_truth(time.time_ns() // 1000, again=True)
    lines = [json.loads(line) for line in (running.state_dir / "truth.jsonl").read_text().splitlines()]
    (mine,) = [line for line in lines if line["start"] == one.as_dict()["start"]]
    assert mine["series"] == ["hw.temperature", "synth.gpu.clock", "synth.marl.action.duration", "synth.saturation"]
    assert mine == {**one.as_dict(), "series": mine["series"]}


def test_what_cannot_be_started_is_refused_by_name(running, tmp_path):
    with pytest.raises(InputError, match="there is no incident fire") as error:
        start(running, "fire")
    assert "llm_outage" in str(error.value.hint)
    with pytest.raises(InputError, match="llm_outage has no target sim-1"):
        start(running, "llm_outage", target="sim-1")
    with pytest.raises(InputError, match="10 s at least"):
        start(running, "llm_outage", duration_seconds=1)
    with pytest.raises(WorkbenchError, match="does not run"):
        start(config.load(tmp_path / "other", environ={}), "llm_outage")
    assert started(running) == ()


def test_a_line_that_cannot_be_read_takes_no_other_with_it(running):
    one = start(running, "llm_outage")
    with started_file(running).open("a") as file:
        file.write('not json\n{"kind": "fire", "start_us": 1, "end_us": 2, "target": ""}\n{}\n')
    assert started(running) == (one,)


def test_the_list_says_what_one_sees(capsys):
    assert main(["simulate", "--list"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for kind in KINDS.values():
        assert kind.name in text
        assert " ".join(kind.sees.split()) in text
    assert "traffic_surge (benign)" in text


def test_one_is_started_from_the_command_line(running, capsys):
    home = ["--home", str(running.home)]
    assert main(["simulate", "--incident", "llm_slowdown", "--duration", "10m", "--target", "o4-mini", *home]) == 0
    assert "llm_slowdown (o4-mini) from" in capsys.readouterr().out
    (one,) = started(running)
    assert one == Incident("llm_slowdown", one.start_us, one.start_us + 600 * SECOND_US, "o4-mini")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--incident", "fire"], "there is no incident fire"),
        (["--list", "--duration", "1h"], "needs an incident"),
        (["--truth"], "no simulated platform"),
        (["--incident", "llm_outage"], "does not run"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments, message, settings, capsys):
    assert main(["simulate", *arguments, "--home", str(settings.home)]) in {1, 2}
    assert message in capsys.readouterr().err


def test_the_truth_is_printed(settings, capsys):
    Progress(settings, time.time_ns() // 1000)
    assert main(["simulate", "--truth", "--home", str(settings.home)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["kind"] for line in lines} >= {"llm_slowdown", "bad_release"}
    assert Path(settings.state_dir, "truth.jsonl").read_text().count("\n") == len(lines)
