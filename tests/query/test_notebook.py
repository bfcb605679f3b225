"""What an analyst types in a notebook, typed into a real shell: magics, completion, errors, bars."""

from __future__ import annotations

import time

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import workbench
from tests.query.test_open import rows, samples
from workbench.query.notebook import bar as bars
from workbench.query.notebook.bar import bar
from workbench.query.notebook.chart import draw, lines_of_frame
from workbench.query.waiting import show_waiting
from workbench.store import Identity, open_writer

SECOND = 1_000_000
RATE = "sum by (cpu_mode) (rate(cpu_time_seconds_total[1m]))"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    from workbench import config

    settings = config.load(tmp_path_factory.mktemp("notebook") / "home", environ={})
    now_us = time.time_ns() // 1000
    resource = (("service.name", "host<b>"),)
    with open_writer(settings) as writer:
        for mode in ("user", "system"):
            identity = Identity("otel", "cpu.time", "counter", "s", "", resource, (("cpu.mode", mode),))
            (number,) = writer.register([(identity, "seconds that the CPU worked", "")], "test")
            times = [now_us - 600 * SECOND + step * 10 * SECOND for step in range(60)]
            writer.append(samples(number, times, range(60)))
        writer.append(rows("events", source=["s"], id=["1"], type=["<script>"], time=[now_us])).result()
        writer.seal()
    return settings


@pytest.fixture
def shell(home):
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "workbench")
    made.user_ns["wb"] = workbench.open(home.home)
    yield made
    show_waiting(None)
    InteractiveShell.clear_instance()


def run(shell, cell: str):
    """What a cell displays (a list of bundles), and its result."""
    with capture_output() as captured:
        done = shell.run_cell(cell)
    return captured, done


def html(captured) -> str:
    return "".join(output.data.get("text/html", "") for output in captured.outputs)


def test_promql_in_a_cell_shows_table_and_chart_and_keeps_the_array(shell):
    captured, done = run(shell, f"%%promql cpu --start now-5m --step 30s\n{RATE}")
    assert done.success
    assert "2 series" in html(captured)
    assert "<td>system</td>" in html(captured)
    (picture,) = [output for output in captured.outputs if "image/png" in output.data]
    assert "cpu_mode=user" in picture.metadata["image/png"]["alt"]
    assert shell.user_ns["cpu"].sizes == {"series": 2, "time": 11}
    assert np.allclose(shell.user_ns["cpu"].values[:, 1], 0.1)


def test_promql_in_a_line_gives_the_newest_values(shell):
    _, done = run(shell, "found = %promql sum(cpu_time_seconds_total)")
    assert done.success
    assert shell.user_ns["found"].values.tolist() == [[118.0]]
    captured, _ = run(shell, "%%promql\ncpu_time_seconds_total")
    assert "host&lt;b&gt;" in html(captured)
    assert "<b>" not in html(captured)


def test_sql_in_cells_and_lines(shell):
    captured, done = run(
        shell,
        "%%sql frame\nSELECT time, labels['cpu_mode'] AS mode, value FROM measurements\n"
        "WHERE metric = 'cpu_time_seconds_total' ORDER BY time",
    )
    assert done.success
    assert "120 rows, the first 10" in html(captured)
    assert [output for output in captured.outputs if "image/png" in output.data]
    assert len(shell.user_ns["frame"]) == 120
    captured, _ = run(shell, "%%sql\nSELECT type FROM events")
    assert "&lt;script&gt;" in html(captured)
    _, done = run(shell, "%sql SELECT count(*) AS n FROM events")
    assert done.result.n.tolist() == [1]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%promql\nsum(cpu_time_seconds_total", ["QuerySyntaxError", "    sum(cpu_time_seconds_total\n"]),
        ("%%sql\nSELECT type FROM event", ["SELECT type FROM event\n", "        ^", "'events'?"]),
        ("wb.query('up', start='soon')", ["InputError", "soon"]),
        ("%%promql a b\nup", ["InputError", "unrecognized arguments", "--start"]),
        ("%%promql a-b\nup", ["no name for a variable"]),
        ("%sql DROP VIEW events", ["only SELECT is answered"]),
        ("wb.table('nothing')", ["There are: series"]),
    ],
)  # fmt: skip
def test_a_mistake_is_a_line_and_a_hint_and_still_fails_the_cell(shell, cell, said):
    captured, done = run(shell, cell)
    assert not done.success
    shown = captured.stdout + captured.stderr
    for text in said:
        assert text in shown
    assert "Traceback" not in shown
    assert "workbench/query" not in shown


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("%%promql\nsum(cpu_t", {"cpu_time_seconds_total": "counter, s"}),
        ("%%promql x --start now-1h\nra", {"rate": "function"}),
        ("%%promql\ncpu_time_seconds_total{cpu_", {"cpu_mode": "label"}),
        ('%%promql\ncpu_time_seconds_total{cpu_mode="u', {"user": "value"}),
        ("%%promql\nsum by (cp", {"cpu_mode": "label"}),
        ("x = %promql cpu_", {"cpu_time_seconds_total": "counter, s"}),
        ('x = 1\nwb.query("cpu_', {"cpu_time_seconds_total": "counter, s"}),
        ("wb.select('cpu_time_seconds_total{cpu_mode=\"", {"user": "value", "system": "value"}),
        ("%%sql\nSELECT * FROM measure", {"measurements": "table"}),
        ("%%sql\nSELECT * FROM usage WHERE cost", {"cost_usd": "double in usage", "costs": "table"}),
        ("%%sql\nSELECT * FROM measurements WHERE metric = 'cpu", {"cpu_time_seconds_total": "counter, s"}),
        ("%%sql\nSELECT labels['cpu", {"cpu_mode": "label"}),
        ('wb.sql("""\nSELECT * FROM ev', {"events": "table"}),
    ],
)  # fmt: skip
def test_completion_names_what_can_stand_there_with_its_meaning(shell, before, expected):
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        found = list(shell.Completer.completions(before, len(before)))
    assert {one.text: one.type for one in found}.items() >= expected.items()
    begun = found[0].start
    assert all(one.text.startswith(before[begun:]) for one in found)


def test_completion_elsewhere_is_pythons(shell):
    from IPython.core.completer import provisionalcompleter

    shell.user_ns["something_of_mine"] = 1
    with provisionalcompleter():
        assert "something_of_mine" in {one.text for one in shell.Completer.completions("x = something_of", 16)}


def test_shift_tab_on_a_metric_says_what_it_is(shell):
    shown = shell.object_inspect_mime("cpu_time_seconds_total")["text/plain"]
    assert shown == "cpu_time_seconds_total: counter, s; 2 series. seconds that the CPU worked"
    with pytest.raises(KeyError):
        shell.object_inspect_mime("nothing_of_that_name")


def test_a_workbench_shows_its_catalog(shell):
    _, done = run(shell, "wb")
    assert "dead_letter" in done.result._repr_html_()
    assert "measurements" in repr(done.result)


def test_what_takes_long_shows_a_bar_that_goes_away(monkeypatch):
    monkeypatch.setattr(bars, "AFTER_SECONDS", 0.01)
    monkeypatch.setattr(bars, "EVERY_SECONDS", 0.01)
    shown: list[str] = []

    class Handle:
        def update(self, what):
            bundle = getattr(what, "_repr_mimebundle_", None)
            shown.append(bundle()["text/html"] if bundle else what._repr_html_())

    def display(what, **_):
        shown.append(what._repr_html_())
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    with bar("SQL") as tell:
        tell(0.5)
        deadline = time.monotonic() + 5
        while not any("50%" in one for one in shown) and time.monotonic() < deadline:
            time.sleep(0.005)
    assert any("value=0.500" in one and "SQL" in one for one in shown)
    assert shown[-1] == ""


def test_what_is_quick_shows_none(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: pytest.fail("a bar for nothing"))
    with bar("SQL"):
        pass


def test_a_chart_says_what_it_shows():
    times = pd.date_range("2026-11-20", periods=3, freq="h", tz="UTC")
    frame = pd.DataFrame({"time": times, "domain": ["a", "b", "a"], "value": [1.0, 5.0, 3.0], "n": [1, 2, 3]})
    lines = lines_of_frame(frame)
    assert {name: len(values) for name, values in lines.items()} == {"a": 2, "b": 1}
    picture = draw("x", lines, unit="s")
    assert picture.metadata["alt"] == "Line chart, x: b from 5 to 5, last 5 s; a from 1 to 3, last 3 s."
    assert lines_of_frame(frame[["domain", "value"]]) == {}
    assert lines_of_frame(frame.head(0)) == {}


def test_a_failing_question_fails_the_run_of_a_notebook(home, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(home.home))
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(text) for text in ("%load_ext workbench", "%%sql\nSELECT x FROM events")]
    nbformat.write(made, tmp_path / "n.ipynb")
    with pytest.raises(papermill.PapermillExecutionError) as failed:
        papermill.execute_notebook(
            tmp_path / "n.ipynb", tmp_path / "out.ipynb", progress_bar=False, kernel_name="python3"
        )
    assert failed.value.ename == "QuerySyntaxError"
    text = (tmp_path / "out.ipynb").read_text()
    assert "SELECT x FROM events" in text
    assert "relational/statement.py" not in text
