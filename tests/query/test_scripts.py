"""The evaluator against scripts: what Prometheus 3 answers, function by function."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from tests.promqltest.run import run
from workbench.query.promql import FUNCTIONS

SCRIPTS = sorted((ROOT / "tests" / "promqltest" / "scripts").glob("*.test"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script(script: Path):
    outcomes = list(run(script.read_text(encoding="utf-8")))
    assert outcomes
    assert not [outcome for outcome in outcomes if outcome.failure]


def test_the_scripts_use_every_function():
    text = "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    assert [name for name in FUNCTIONS if not re.search(rf"\b{name} ?\(", text)] == []


def test_the_runner_counts_and_its_exit_code_tells(tmp_path: Path):
    script = tmp_path / "mixed.test"
    script.write_text("load 1m\n  a 1 2\n\neval instant at 1m a\n  a 2\n\neval instant at 1m a\n  a 3\n\nnonsense\n")
    command = [sys.executable, "-m", "tests.promqltest", str(script)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines()[-1] == "1 passed, 2 failed"
    assert told.returncode == 1
