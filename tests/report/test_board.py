"""The page of a board: what its reader sees, and what a hostile notebook cannot put into it."""

from __future__ import annotations

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from workbench.errors import ReportError
from workbench.report import Kpi, Live, Provenance, kpis, snapshot_policy
from workbench.report.board import LIVE_MAX, board_html, cleaned, live_numbers
from workbench.report.provenance import FIGURES_TYPE

PROVENANCE = Provenance("sales", "a" * 64, {}, "000007-0badcafe", "0.1.0", "2026-11-24T10:00:00+00:00", {})
HOSTILE = [
    "<script>parent.postMessage('x','*')</script>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://evil.example/x.png'>",
    "<svg><script>alert(1)</script></svg>",
    "<svg onload=alert(1)></svg>",
    "<svg><use href='http://evil.example/x.svg#a'/></svg>",
    "<svg><foreignObject><iframe src='http://evil.example'></iframe></foreignObject></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<svg><animate attributeName=href values='javascript:alert(1)'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='http://evil.example'>x</a>",
    "<a href='javascript:alert(1)'>x</a>",
    "<form action='http://evil.example'><input name=a></form>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<base href='http://evil.example/'>",
    "<style>@import 'http://evil.example/x.css'</style>",
    "<p style='background:url(http://evil.example/x)'>x</p>",
    "<link rel=stylesheet href='http://evil.example/x.css'>",
    "<object data='http://evil.example'></object>",
    "<details ontoggle=alert(1) open>x</details>",
]


def board(*outputs: nbformat.NotebookNode, markdown: str = "") -> str:
    cell = new_code_cell("secret_source = 1")
    cell.outputs = list(outputs)
    made = new_notebook(cells=[cell, new_markdown_cell(markdown)])
    return board_html(made, title="Sales", provenance=PROVENANCE)


def html_output(html: str) -> nbformat.NotebookNode:
    return new_output("display_data", {"text/html": html})


def test_a_board_shows_its_output_and_where_it_comes_from_but_no_code():
    page = board(html_output("<h1>Hello</h1>"), markdown="Some *words*")
    assert "Hello" in page
    assert "<em>words</em>" in page
    assert "000007-0badcafe" in page
    assert "secret_source" not in page
    assert BeautifulSoup(page, "html.parser").find("main").find("h1").text == "Hello"


def test_warnings_and_figures_for_machines_are_not_for_readers():
    warning = new_output("stream", name="stderr", text="DeprecationWarning: old")
    page = board(warning, new_output("display_data", {FIGURES_TYPE: {"Orders": 17}, "text/plain": "figures!"}))
    assert "DeprecationWarning" not in page
    assert "figures!" not in page


def test_a_control_becomes_words_that_say_where_it_is():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "IntSlider(value=7)"}
    page = board(new_output("display_data", view))
    assert "IntSlider" not in page
    assert "interactive session" in page


@pytest.mark.parametrize("html", HOSTILE)
def test_nothing_that_runs_or_loads_or_leads_away_gets_into_a_board(html: str):
    for page in (board(html_output(html)), board(markdown=html)):
        soup = BeautifulSoup(page.split("<main>")[1].split("</main>")[0], "html.parser")
        forbidden = ["script", "style", "iframe", "object", "form", "input", "meta", "base", "link", "use"]
        assert not soup.find_all([*forbidden, "animate", "foreignobject", "math"])
        for element in soup.find_all():
            for name, value in element.attrs.items():
                assert not name.startswith("on")
                assert name != "style"
                assert "evil.example" not in str(value)
                assert "javascript:" not in str(value)


def test_drawings_and_inlined_pictures_stay():
    drawing = '<svg viewBox="0 0 6 2" role="img" aria-label="up"><path class="history" d="M0 0L6 2"></path></svg>'
    picture = '<img src="data:image/png;base64,AAAA" alt="a picture">'
    assert cleaned(drawing) == drawing
    assert cleaned(picture) == picture
    assert "href" not in cleaned('<a href="data:text/html,x">x</a>')


def test_live_numbers_are_found_once_each_with_unit_and_label():
    shown = kpis([Kpi("A", "1", live=Live("now", 'sum(up{job="a"})', "count")), Kpi("B", "2")]).data * 2
    assert live_numbers(cleaned(shown)) == [Live("now", 'sum(up{job="a"})', "count")]


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<b data-live="sum(">x</b>', "no PromQL"),
        ('<b data-live="up" data-unit="parsec">x</b>', "unknown unit"),
        ("".join(f"<b data-live=\"up{{a='{n}'}}\">x</b>" for n in range(LIVE_MAX + 1)), "live numbers"),
    ],
)
def test_live_numbers_that_cannot_be_asked_for_are_faults_of_the_board(html: str, said: str):
    with pytest.raises(ReportError, match=said):
        live_numbers(html)


def test_the_policy_lets_our_own_script_run_and_nothing_else():
    policy = snapshot_policy()
    assert policy.startswith("sandbox allow-scripts; default-src 'none';")
    assert "'unsafe-eval'" not in policy
    assert "allow-same-origin" not in policy
    assert policy.count("script-src 'sha256-") == 1
