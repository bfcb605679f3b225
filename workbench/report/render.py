"""An executed notebook as one HTML file that loads nothing: styles inline, pictures inlined with their alt text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from workbench.report.provenance import FIGURES_TYPE, Provenance

TEMPLATE = Path(__file__).parent / "template"

CONTENT_SECURITY_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
)
"""Header under which a report is served: no script runs, nothing is fetched, its origin is nobody's.

A link that its reader follows opens outside, with no way back to the page.
"""

PICTURES = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/gif;base64,", "data:image/webp;base64,")


def render_html(notebook: Any, *, title: str, provenance: Provenance | None = None) -> str:
    """HTML page of an executed notebook (nbformat 4), code hidden, with its provenance at the foot."""
    import jinja2
    from nbconvert import HTMLExporter

    shown = notebook.copy()
    shown.cells = [_without_figures(cell) for cell in notebook.cells]
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    exporter.embed_images = True
    body, _ = exporter.from_notebook_node(shown)
    body = harmless(body)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATE), autoescape=True)
    page = environment.get_template("report.html")
    return page.render(
        title=title, body=body, provenance=provenance, style=(TEMPLATE / "report.css").read_text(encoding="utf-8")
    )


def harmless(html: str) -> str:
    """HTML without anything that runs, loads from elsewhere or leaves its place; links stay, pictures only inlined."""
    import nh3

    attributes = {tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
    attributes["*"] = attributes.get("*", set()) | {"id", "class", "role", "aria-label", "aria-hidden"}
    attributes["img"] = {"src", "alt", "width", "height"}

    def keep(tag: str, name: str, value: str) -> str | None:
        if name == "src" and not value.startswith(PICTURES):
            return None
        if name == "href" and value.strip().lower().startswith("data:"):
            return None
        return value

    cleaned = nh3.clean(
        html,
        tags=nh3.ALLOWED_TAGS - {"map", "area"},
        attributes=attributes,
        attribute_filter=keep,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
    )
    # In the frame that shows the page another site would be refused.
    return re.sub(r'<a (?=[^>]*href="(?:https?:|mailto:))', '<a target="_blank" ', cleaned)


def too_big(size_bytes: int) -> Any:
    """What is shown instead of a notebook that no browser would show."""
    import nbformat

    text = f"The notebook has {size_bytes / 1e6:.0f} MB of output, too much for a page. Download it instead."
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def _without_figures(cell: Any) -> Any:
    copy = cell.copy()
    if "outputs" in copy:
        copy.outputs = [output for output in cell.outputs if FIGURES_TYPE not in output.get("data", {})]
    return copy
