"""Through the broker the same questions give the same answers, and only those of its person."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from report.conftest import NOON_US, measure

from workbench import config
from workbench.errors import Forbidden, InputError, StoreError, VersionGone
from workbench.query import label_index, limited, parse_matchers, select
from workbench.query.broker import BrokerView
from workbench.query.views import view_of
from workbench.sandbox import Broker
from workbench.store import open_view

DAY_US = 86_400_000_000
FIGURES = """
import json, workbench
wb = workbench.open(version=VERSION)
print(json.dumps([
    wb.version,
    float(wb.query("sum(sum_over_time(x_ratio[1h]))", time="2026-11-20T12:30").item()),
    wb.select("x_ratio", start="2026-11-20T11:00", end="2026-11-20T13:00").to_dask().value.sum().compute().item(),
    wb.catalog["samples"].read().value.sum().compute().item(),
    len(wb.metrics()),
    wb.table("samples", columns=["value"]).num_rows,
]))
"""


@pytest.fixture
def asked(broker) -> BrokerView:
    return BrokerView(broker.socket)


def outside(home, code: str, monkeypatch) -> str:
    """What a notebook prints outside of a sandbox."""
    printed = io.StringIO()
    monkeypatch.setenv("WORKBENCH_HOME", str(home.home))
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return printed.getvalue()


@pytest.mark.parametrize("lake", [False, True])
@pytest.mark.parametrize("pinned", [False, True])
def test_a_notebook_gives_the_same_figures_inside_and_outside(inside, home, monkeypatch, lake, pinned):
    version = open_view(home).lake_version if pinned else None
    measure(home, [10.0, 20.0], offset_us=DAY_US)
    code = FIGURES.replace("VERSION", repr(version))
    done = inside(code, lake=lake)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures == json.loads(outside(home, code, monkeypatch))
    assert figures[2] == 10.0
    assert figures[3] == (10.0 if pinned else 40.0)


def test_new_samples_are_seen(home, asked):
    measure(home, [5.0], offset_us=10_000_000)
    assert asked.refresh()
    assert not asked.refresh()
    found = select(asked, "x_ratio", NOON_US, NOON_US + 3_600_000_000)
    assert found.to_pandas().value.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(label_index(asked).rows) == 1


def test_samples_of_none_and_of_unknown_series_are_there_and_empty(asked):
    assert len(asked.samples(np.empty(0, np.int64), 0, 2**60)) == 0
    found = asked.samples(np.array([1, 77]), 0, 2**60)
    assert found.ids.tolist() == [1, 77]
    assert found.offsets.tolist() == [0, 4, 4]


@pytest.mark.parametrize("kind", ["samples", "series", "events"])
@pytest.mark.parametrize("span", [(None, None), (NOON_US + 1, None), (None, NOON_US + DAY_US)])
def test_tables_are_cut_by_time_as_elsewhere(home, asked, kind, span):
    measure(home, [10.0, 20.0], offset_us=DAY_US)
    one = asked.table(kind, start_us=span[0], end_us=span[1])
    other = open_view(home).table(kind, start_us=span[0], end_us=span[1])
    assert one.schema == other.schema
    assert sorted(map(str, one.to_pylist())) == sorted(map(str, other.to_pylist()))


def test_only_columns_that_are_asked_for_come(asked):
    assert asked.table("samples", columns=["value"]).column_names == ["value"]


def test_only_rows_of_its_person_are_answered_and_a_new_limit_holds_at_once(home, tmp_path):
    rows = {"now": ()}
    with Broker(tmp_path / "p", lambda version: limited(open_view(home), rows["now"]), home) as broker:
        asked = BrokerView(broker.socket)
        assert len(asked.registry) == 1
        rows["now"] = parse_matchers('{__name__="other"}')
        assert asked.table("samples").num_rows == 0
        assert len(asked.samples(np.array([1]), 0, 2**60).values) == 0
        asked.refresh()
        assert len(asked.registry) == 0


def test_errors_come_through_as_they_are(asked, broker):
    with pytest.raises(VersionGone):
        BrokerView(broker.socket, "000009-00000000")
    with pytest.raises(StoreError, match="no column 'y'"):
        asked.table("samples", columns=["y"])
    with pytest.raises(InputError, match="no table 'nothing'"):
        asked.table("nothing")
    with pytest.raises(Forbidden):
        asked.files("samples")
    broker.close()
    with pytest.raises(StoreError, match="the broker does not answer"):
        asked.refresh()


def test_a_person_who_was_shut_out_is_told(home, tmp_path):
    def refuse(version):
        raise Forbidden("you are signed out")

    with Broker(tmp_path / "p", refuse, home) as broker, pytest.raises(Forbidden, match="signed out"):
        BrokerView(broker.socket)


def test_an_answer_that_breaks_off_is_no_answer(home, tmp_path, monkeypatch):
    measure(home, [10.0, 20.0], offset_us=DAY_US)
    view = open_view(home)
    table, calls = view.table, []

    def failing(*given, **options):
        calls.append(given)
        if len(calls) > 1:
            raise StoreError("the disk is gone")
        return table(*given, **options)

    monkeypatch.setattr(view, "table", failing)
    monkeypatch.setattr("workbench.sandbox.broker.CHUNK_BYTES", 1)
    with Broker(tmp_path / "p", lambda version: view, home) as broker, pytest.raises(StoreError, match="broke off"):
        BrokerView(broker.socket).table("samples")


def test_the_setting_chooses_the_broker(home, broker):
    settings = replace(home, home=home.home / "inside", query=replace(config.Query(), broker=str(broker.socket)))
    assert isinstance(view_of(settings), BrokerView)
    assert not isinstance(view_of(home), BrokerView)
