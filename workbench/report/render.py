"""An executed notebook as one HTML file that loads nothing: styles inline, pictures inlined with their alt text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.report.provenance import FIGURES_TYPE, Provenance

TEMPLATE = Path(__file__).parent / "template"

CONTENT_SECURITY_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
)
"""Header under which a report is served: no script runs, nothing is fetched, its origin is nobody's."""


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
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATE), autoescape=True)
    page = environment.get_template("report.html")
    return page.render(
        title=title, body=body, provenance=provenance, style=(TEMPLATE / "report.css").read_text(encoding="utf-8")
    )


def _without_figures(cell: Any) -> Any:
    copy = cell.copy()
    if "outputs" in copy:
        copy.outputs = [output for output in cell.outputs if FIGURES_TYPE not in output.get("data", {})]
    return copy
