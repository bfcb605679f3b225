"""The evaluator against scripts: what Prometheus 3 answers, and what of it differs from Prometheus 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.query.script import read

CASES = [
    pytest.param(case, id=f"{file.stem}:{case.line}")
    for file in sorted((Path(__file__).parent / "scripts").glob("*.test"))
    for case in read(file.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("case", CASES)
def test_script(case):
    case.run()
