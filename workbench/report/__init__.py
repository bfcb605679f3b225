"""Reports and jobs: a notebook run on a named lake version, kept with its provenance, on schedule, delivered."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.report.board import board_style, snapshot_policy
    from workbench.report.deliver.outbox import mails_of, send_due
    from workbench.report.deliver.pdf import kept_pdf, report_pdf
    from workbench.report.display import line_chart, show_figures, table
    from workbench.report.jobs.cron import next_time, parse_cron
    from workbench.report.jobs.execute import give_up, run_job
    from workbench.report.jobs.export import airflow, kubernetes
    from workbench.report.jobs.files import Job, job_files, load_jobs, read_jobs
    from workbench.report.jobs.located import Fault
    from workbench.report.jobs.publisher import rows_of_publisher
    from workbench.report.jobs.runs import (
        Cause,
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
    from workbench.report.notebooks import board_about, board_notebooks, notebook_file
    from workbench.report.provenance import FIGURES_TYPE, Provenance
    from workbench.report.publish.examine import examine, hand_in
    from workbench.report.publish.publications import (
        PUBLISHERS,
        Check,
        Publication,
        get_publication,
        give_up_examining,
        may_approve,
        newest_published,
        next_queued,
        publications,
    )
    from workbench.report.publish.shelf import decide, undo
    from workbench.report.render import CONTENT_SECURITY_POLICY, render_html
    from workbench.report.run import run_report
    from workbench.report.snapshot import render_snapshot
    from workbench.report.snapshots import Snapshot, get_snapshot, list_snapshots, live_dir
    from workbench.report.tiles import Kpi, Live, daily_chart, facts, heading, kpis

# What runs notebooks loads numpy, Arrow and the lake; the scheduler, which waits most of its life, needs none of it.
_HOMES = {
    "CONTENT_SECURITY_POLICY": "render",
    "Cause": "jobs.runs",
    "Check": "publish.publications",
    "FIGURES_TYPE": "provenance",
    "Fault": "jobs.located",
    "Job": "jobs.files",
    "Kpi": "tiles",
    "Live": "tiles",
    "PUBLISHERS": "publish.publications",
    "Provenance": "provenance",
    "Publication": "publish.publications",
    "Report": "kept",
    "Run": "jobs.runs",
    "Snapshot": "snapshots",
    "airflow": "jobs.export",
    "board_about": "notebooks",
    "board_notebooks": "notebooks",
    "board_style": "board",
    "claim": "jobs.runs",
    "daily_chart": "tiles",
    "decide": "publish.shelf",
    "disabled_jobs": "jobs.runs",
    "enqueue": "jobs.runs",
    "examine": "publish.examine",
    "facts": "tiles",
    "get_publication": "publish.publications",
    "get_report": "kept",
    "get_run": "jobs.runs",
    "get_snapshot": "snapshots",
    "give_up": "jobs.execute",
    "give_up_examining": "publish.publications",
    "hand_in": "publish.examine",
    "heading": "tiles",
    "job_files": "jobs.files",
    "kept_pdf": "deliver.pdf",
    "kpis": "tiles",
    "kubernetes": "jobs.export",
    "last_runs": "jobs.runs",
    "line_chart": "display",
    "list_reports": "kept",
    "list_runs": "jobs.runs",
    "list_snapshots": "snapshots",
    "live_dir": "snapshots",
    "load_jobs": "jobs.files",
    "mails_of": "deliver.outbox",
    "may_approve": "publish.publications",
    "newest_published": "publish.publications",
    "next_queued": "publish.publications",
    "next_time": "jobs.cron",
    "notebook_file": "notebooks",
    "parse_cron": "jobs.cron",
    "publications": "publish.publications",
    "read_jobs": "jobs.files",
    "render_html": "render",
    "render_snapshot": "snapshot",
    "report_pdf": "deliver.pdf",
    "requeue_abandoned": "jobs.runs",
    "rows_of_publisher": "jobs.publisher",
    "run_job": "jobs.execute",
    "run_report": "run",
    "send_due": "deliver.outbox",
    "show_figures": "display",
    "snapshot_policy": "board",
    "switch": "jobs.runs",
    "table": "display",
    "undo": "publish.shelf",
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
    "PUBLISHERS",
    "Cause",
    "Check",
    "Fault",
    "Job",
    "Kpi",
    "Live",
    "Provenance",
    "Publication",
    "Report",
    "Run",
    "Snapshot",
    "airflow",
    "board_about",
    "board_notebooks",
    "board_style",
    "claim",
    "daily_chart",
    "decide",
    "disabled_jobs",
    "enqueue",
    "examine",
    "facts",
    "get_publication",
    "get_report",
    "get_run",
    "get_snapshot",
    "give_up",
    "give_up_examining",
    "hand_in",
    "heading",
    "job_files",
    "kept_pdf",
    "kpis",
    "kubernetes",
    "last_runs",
    "line_chart",
    "list_reports",
    "list_runs",
    "list_snapshots",
    "live_dir",
    "load_jobs",
    "mails_of",
    "may_approve",
    "newest_published",
    "next_queued",
    "next_time",
    "notebook_file",
    "parse_cron",
    "publications",
    "read_jobs",
    "render_html",
    "render_snapshot",
    "report_pdf",
    "requeue_abandoned",
    "rows_of_publisher",
    "run_job",
    "run_report",
    "send_due",
    "show_figures",
    "snapshot_policy",
    "switch",
    "table",
    "undo",
]
