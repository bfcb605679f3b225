"""The flags of `workbench jobs` and `workbench publish`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_jobs(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `jobs` with its actions."""
    jobs = commands.add_parser("jobs", help="scheduled reports: list, run, check, export")
    actions = jobs.add_subparsers(title="actions", metavar="ACTION", required=True)
    command(actions, "list", "jobs:list_", "list all jobs with their next run and their last result")
    run = command(actions, "run", "jobs:run", "run a job now, and wait for its end")
    run.add_argument("name", metavar="NAME")
    run.add_argument("--only", action="store_true", help="do not start the jobs after it")
    history = command(actions, "history", "jobs:history", "list the last runs, of one job or of all")
    history.add_argument("name", nargs="?", metavar="NAME")
    check = command(actions, "check", "jobs:check", "check schedule files")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    for word in ("on", "off"):
        switch = command(actions, word, f"jobs:{word}", f"switch a job {word}")
        switch.add_argument("name", metavar="NAME")
    export = command(actions, "export", "jobs:export", "write the schedule for Kubernetes or Airflow")
    form = export.add_mutually_exclusive_group(required=True)
    form.add_argument("--kubernetes", action="store_true", help="as CronJobs")
    form.add_argument("--airflow", action="store_true", help="as a DAG")
    export.add_argument("--image", default="workbench:latest", help="Kubernetes: the image that has the workbench")
    export.add_argument("--claim", default="workbench-home", help="Kubernetes: the volume claim of the home")
    export.add_argument("--worker-home", default="/home/workbench/data", metavar="DIR", help="Airflow: the home there")
    export.add_argument("--output", type=Path, metavar="FILE", help="write there instead of standard output")


def add_publish(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `publish`."""
    publish = command(commands, "publish", "publish:publish", "make a board, a report or a job of a notebook")
    publish.add_argument("notebook", nargs="?", metavar="NOTEBOOK", help="a file, or a name in notebooks/ of the home")
    publish.add_argument("--as", dest="kind", choices=("board", "report", "job"))
    publish.add_argument("--name", default="", help="what it is called there (default: the name of the file)")
    publish.add_argument("--title", help="what people read")
    publish.add_argument("--about", help="one sentence on what it shows")
    publish.add_argument("--schedule", metavar="CRON", help='when a job runs, as in "0 6 * * mon-fri"')
    publish.add_argument("--timezone", metavar="ZONE", help="as in Europe/Berlin (default UTC)")
    publish.add_argument("--after", metavar="JOB", help="run when that job is done")
    publish.add_argument("--date", metavar="DAY", help="the day a job is about: today, yesterday, today-7d")
    publish.add_argument("--to", action="append", default=[], metavar="ADDRESS", help="who gets the report by mail")
    publish.add_argument("--by", default="owner", metavar="NAME", help="whose rows it reads (default: the owner)")
    other = publish.add_mutually_exclusive_group()
    other.add_argument("--history", action="store_true", help="list what was published, by whom, and what became of it")
    other.add_argument("--undo", metavar="NAME", help="take the newest publication of that name back")
    other.add_argument("--approve", type=int, metavar="ID", help="put a job that waits into its place")
    other.add_argument("--refuse", type=int, metavar="ID", help="or do not")
