"""Several hundred questions give what the current Prometheus gave over the same samples (`record` says how).

Where WORKBENCH_PROMETHEUS names a Prometheus 3, that one is asked anew.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from typing import Any

import pytest

from tests.promqltest.run import view_of_series
from tests.query.arrays import SECOND, ArrayView
from tests.query.corpus import series
from tests.query.prometheus import Prometheus
from tests.query.questions import questions
from tests.query.record import INSTANT, RANGE, answers, recorded
from workbench.errors import QueryError
from workbench.query import Result, instant, range_query
from workbench.query.promql import FUNCTIONS

KEPT = {answer["query"]: answer for answer in recorded()}


@pytest.fixture(scope="module")
def view() -> ArrayView:
    return view_of_series(
        (dict(labels), [(time * 1000, value) for time, value in points]) for labels, points in series()
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    binary = os.environ.get("WORKBENCH_PROMETHEUS")
    if not binary:
        yield None
        return
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), binary=binary)
    server.write(series())
    yield server
    server.close()


def test_the_questions_are_many_and_use_every_function():
    assert list(KEPT) == questions()
    assert len(KEPT) >= 300
    used = Counter(name for expr in KEPT for name in set(re.findall(r"\b(\w+) ?\(", expr)))
    assert {name: used[name] for name in FUNCTIONS if used[name] < 3} == {}


@pytest.mark.parametrize("expr", list(KEPT))
def test_the_answer_is_prometheus(view, server, expr):
    theirs = KEPT[expr] if server is None else answers(server, expr)
    times = [RANGE[name] * SECOND for name in ("start", "end", "step")]
    for name, ask in (
        ("instant", lambda: instant(view, expr, INSTANT["time"] * SECOND)),
        ("range", lambda: range_query(view, expr, *times)),
    ):
        if "error" in theirs[name]:
            with pytest.raises(QueryError) as refused:
                ask()
            assert _words(refused.value.message) == _words(theirs[name]["error"])
        else:
            _hold(ask(), theirs[name])


def _words(error: str) -> str:
    """Without the series: both name some that collide, not the same ones."""
    return re.sub(r'\{[^}]*\}|\w*\[.*\]|invalid parameter "query": ', "", error).strip()


def _hold(ours: Result, theirs: dict[str, Any]) -> None:
    mine = ours.to_prometheus()
    assert mine["resultType"] == theirs["data"]["resultType"]
    _same(mine["result"], theirs["data"]["result"])
    for name, said in (("warnings", ours.warnings), ("infos", ours.infos)):
        # What concerns a subquery, Prometheus places at 1:1, wherever that stands.
        lost = {one.rpartition(" ")[0] for one in theirs.get(name, []) if one.endswith(" (1:1)")}
        assert {one for one in said if one.rpartition(" ")[0] not in lost} == {
            one for one in theirs.get(name, []) if one.rpartition(" ")[0] not in lost
        }
        assert lost <= {one.rpartition(" ")[0] for one in said}


def _same(ours: Any, theirs: Any) -> None:
    if not (theirs and isinstance(theirs, list) and isinstance(theirs[0], dict)):
        _close(ours, theirs)
        return
    mine, real = ({tuple(sorted(one["metric"].items())): one for one in found} for found in (ours, theirs))
    assert mine.keys() == real.keys()
    for key, one in real.items():
        _close(mine[key], one)


def _close(ours: Any, theirs: Any) -> None:
    """Equal, numbers in texts within 1e-9 of each other."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            _close(ours[name], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), (ours, theirs)
        for one, other in zip(ours, theirs, strict=True):
            _close(one, other)
    elif isinstance(theirs, str) and ours != theirs:
        a, b = float(ours), float(theirs)
        assert (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12), (ours, theirs)
    else:
        assert ours == theirs
