"""The progress bar."""

from __future__ import annotations

import io

from workbench.cli.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_is_drawn_for_people():
    out = Terminal()
    with Bar(out) as bar:
        bar(0, 10, "a.csv")
        bar(10, 10, "a.csv")
    assert out.getvalue().count("\r") == 2
    assert "  0% a.csv" in out.getvalue()
    assert "100% a.csv" in out.getvalue()
    assert out.getvalue().endswith("\n")


def test_it_is_drawn_ten_times_a_second_at_most():
    out = Terminal()
    with Bar(out) as bar:
        for done in range(1000):
            bar(done, 10_000)
    assert out.getvalue().count("\r") < 500


def test_nothing_is_drawn_where_nobody_watches():
    out = io.StringIO()
    with Bar(out) as bar:
        bar(1, 2)
    assert out.getvalue() == ""


def test_nothing_to_do_is_done():
    out = Terminal()
    with Bar(out) as bar:
        bar(0, 0)
    assert "100%" in out.getvalue()
