"""An executed notebook as a board: one page for people who decide, without code, that needs nothing from elsewhere.

Style and script are ours and inline; what the notebook showed is cleaned of everything that runs or loads. An element
with `data-live` carries PromQL, whose number the page around the snapshot keeps moving.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from workbench.errors import QueryError, ReportError
from workbench.query import parse
from workbench.report.provenance import FIGURES_TYPE, Provenance
from workbench.report.render import PICTURES
from workbench.report.tiles import LIVE_UNITS, Live

TEMPLATE = Path(__file__).parent / "template"
WIDGET_TYPE = "application/vnd.jupyter.widget-view+json"
NO_WIDGET = "<p class='note'>Controls are here in the interactive session.</p>"
LIVE_MAX = 40
"""More numbers at once nobody reads; each costs a query a second while somebody looks."""

DRAWING = {
    "svg": {"viewBox", "preserveAspectRatio", "role", "aria-label", "aria-hidden", "class", "width", "height"},
    "g": {"class", "transform"},
    "path": {"class", "d", "transform"},
    "line": {"class", "x1", "x2", "y1", "y2"},
    "rect": {"class", "x", "y", "width", "height", "rx"},
    "circle": {"class", "cx", "cy", "r"},
    "polyline": {"class", "points"},
    "polygon": {"class", "points"},
    "text": {"class", "x", "y", "text-anchor"},
    "title": set(),
}
"""Elements of SVG and their attributes that can neither run nor load anything."""


def board_html(notebook: Any, *, title: str, provenance: Provenance) -> str:
    """The page of an executed notebook (nbformat 4)."""
    import jinja2
    from nbconvert import HTMLExporter

    shown = notebook.copy()
    shown.cells = [_presentable(cell) for cell in notebook.cells if cell.cell_type in ("code", "markdown")]
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    exporter.embed_images = True
    body, _ = exporter.from_notebook_node(shown)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATE), autoescape=True)
    return environment.get_template("board.html").render(
        title=title, body=cleaned(body), provenance=provenance, style=board_style(), script=_script()
    )


@cache
def board_style() -> str:
    """The style sheet of boards."""
    return (TEMPLATE / "board.css").read_text(encoding="utf-8")


def snapshot_policy() -> str:
    """Content security policy under which a snapshot is served: of all scripts only ours runs, nothing is fetched.

    The page has nobody's origin, opens nothing and sends nothing but messages to the page around it.
    """
    digest = b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return (
        f"sandbox allow-scripts; default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:"
    )


def live_numbers(html: str) -> list[Live]:
    """The live numbers of a board, each expression once. Raises ReportError for one that cannot be asked for."""
    from bs4 import BeautifulSoup

    found: dict[str, Live] = {}
    for spot in BeautifulSoup(html, "html.parser").select("[data-live]"):
        expr, unit, label = (str(spot.get(name, "")) for name in ("data-live", "data-unit", "data-label"))
        if unit not in LIVE_UNITS:
            raise ReportError(f"unknown unit {unit!r} of {expr}", hint=f"There are: {', '.join(LIVE_UNITS)}.")
        try:
            parse(expr)
        except QueryError as error:
            raise ReportError(f"a live number is no PromQL: {error}", where=expr) from error
        found.setdefault(expr, Live(label or expr, expr, unit))
    if len(found) > LIVE_MAX:
        raise ReportError(f"{len(found)} live numbers", hint=f"At most {LIVE_MAX}.")
    return list(found.values())


def cleaned(html: str) -> str:
    """HTML without anything that runs, loads or leads elsewhere; drawings (SVG), inlined pictures and tables stay."""
    import nh3

    attributes = {tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
    common = {"id", "class", "role", "aria-label", "aria-hidden", "tabindex", "data-live", "data-unit", "data-label"}
    attributes = {**attributes, **DRAWING, "img": {"src", "alt", "width", "height"}, "*": common}

    def keep(tag: str, name: str, value: str) -> str | None:
        if name == "src" and not value.startswith(PICTURES):
            return None
        if name == "href" and not value.startswith("#"):  # the frame shows nothing but this page
            return None
        if name == "tabindex" and value != "0":
            return None
        return value

    tags = (nh3.ALLOWED_TAGS - {"map", "area"}) | set(DRAWING) | {"main", "section", "figure", "figcaption"}
    return nh3.clean(
        html,
        tags=tags,
        clean_content_tags={"script", "style"},
        attributes=attributes,
        attribute_filter=keep,
        url_schemes={"data"},
        link_rel=None,
    )


@cache
def _script() -> str:
    return (TEMPLATE / "board.js").read_text(encoding="utf-8").strip()


def _presentable(cell: Any) -> Any:
    """A cell with the outputs that are for readers: no warnings, no figures for machines, words in place of widgets."""
    from nbformat.v4 import new_output

    copy = cell.copy()
    if "outputs" not in copy:
        return copy
    copy.outputs = []
    for output in cell.outputs:
        data = output.get("data", {})
        if output.output_type == "stream" or FIGURES_TYPE in data:
            continue
        if WIDGET_TYPE in data:
            output = new_output("display_data", {"text/html": NO_WIDGET})  # noqa: PLW2901
        copy.outputs.append(output)
    return copy
