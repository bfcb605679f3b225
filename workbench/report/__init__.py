"""Reports: a notebook run on a named lake version, kept as notebook and HTML with its provenance."""

from workbench.report.display import line_chart, show_figures, table
from workbench.report.kept import Report, get_report, list_reports
from workbench.report.provenance import FIGURES_TYPE, Provenance
from workbench.report.render import CONTENT_SECURITY_POLICY, render_html
from workbench.report.run import notebook_file, run_report

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "FIGURES_TYPE",
    "Provenance",
    "Report",
    "get_report",
    "line_chart",
    "list_reports",
    "notebook_file",
    "render_html",
    "run_report",
    "show_figures",
    "table",
]
