"""Reports and jobs: a notebook run on a named lake version, kept with its provenance, on schedule, delivered."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.report.deliver.outbox import send_due
    from workbench.report.deliver.pdf import report_pdf
    from workbench.report.display import line_chart, show_figures, table
    from workbench.report.jobs.cron import next_time, parse_cron
    from workbench.report.jobs.execute import give_up, run_job
    from workbench.report.jobs.files import Job, job_files, load_jobs, read_jobs
    from workbench.report.jobs.located import Fault
    from workbench.report.jobs.runs import (
        Run,
        claim,
        disabled_jobs,
        enqueue,
        get_run,
        last_runs,
        list_runs,
        requeue_abandoned,
        switch,
    )
    from workbench.report.kept import Report, get_report, list_reports
    from workbench.report.notebooks import notebook_file
    from workbench.report.provenance import FIGURES_TYPE, Provenance
    from workbench.report.render import CONTENT_SECURITY_POLICY, render_html
    from workbench.report.run import run_report

# What runs notebooks loads numpy, Arrow and the lake; the scheduler, which waits most of its life, needs none of it.
_HOMES = {
    "CONTENT_SECURITY_POLICY": "render",
    "FIGURES_TYPE": "provenance",
    "Fault": "jobs.located",
    "Job": "jobs.files",
    "Provenance": "provenance",
    "Report": "kept",
    "Run": "jobs.runs",
    "claim": "jobs.runs",
    "disabled_jobs": "jobs.runs",
    "enqueue": "jobs.runs",
    "get_report": "kept",
    "get_run": "jobs.runs",
    "give_up": "jobs.execute",
    "job_files": "jobs.files",
    "last_runs": "jobs.runs",
    "line_chart": "display",
    "list_reports": "kept",
    "list_runs": "jobs.runs",
    "load_jobs": "jobs.files",
    "next_time": "jobs.cron",
    "notebook_file": "notebooks",
    "parse_cron": "jobs.cron",
    "read_jobs": "jobs.files",
    "render_html": "render",
    "report_pdf": "deliver.pdf",
    "requeue_abandoned": "jobs.runs",
    "run_job": "jobs.execute",
    "run_report": "run",
    "send_due": "deliver.outbox",
    "show_figures": "display",
    "switch": "jobs.runs",
    "table": "display",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "CONTENT_SECURITY_POLICY",
    "FIGURES_TYPE",
    "Fault",
    "Job",
    "Provenance",
    "Report",
    "Run",
    "claim",
    "disabled_jobs",
    "enqueue",
    "get_report",
    "get_run",
    "give_up",
    "job_files",
    "last_runs",
    "line_chart",
    "list_reports",
    "list_runs",
    "load_jobs",
    "next_time",
    "notebook_file",
    "parse_cron",
    "read_jobs",
    "render_html",
    "report_pdf",
    "requeue_abandoned",
    "run_job",
    "run_report",
    "send_due",
    "show_figures",
    "switch",
    "table",
]
