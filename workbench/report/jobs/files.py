"""Schedule files: `scheduled/NAME.yaml`, one job each, read strictly and with all their faults at once."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from workbench.config import Settings
from workbench.errors import ConfigError, InputError
from workbench.report.jobs.cron import Cron, next_time, parse_cron
from workbench.report.jobs.located import Document, Fault
from workbench.report.jobs.values import day_of, moving, parameters_of, resolved, seconds_of, wrong_type
from workbench.report.notebooks import FILLED_IN, board_notebooks, notebooks

SHIPPED = Path(__file__).resolve().parents[3] / "scheduled"
KINDS = ("report", "board")
NOTEBOOK_OF = {"report": "notebook", "board": "board"}
OVERLAPS = ("skip", "queue")
ATTACHED = ("pdf", "none")
KEYS = (
    "title", "about", "kind", "notebook", "date", "parameters", "cron", "timezone", "after", "recipients", "attach",
    "keep", "timeout", "retries", "retry_pause", "overlap", "publisher",
)  # fmt: skip
NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}")
ADDRESS = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s,;<>\"]{1,250}")


@dataclass(frozen=True)
class Job:
    """One scheduled job. `after` names the job whose success starts this one; `date` is the day of the notebook.

    `publisher` is the user whose rows it reads (empty: the owner), `keep` how many of its reports are kept.
    """

    name: str
    file: Path
    notebook: str
    title: str = ""
    about: str = ""
    kind: str = "report"
    date: str = "today"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cron: Cron | None = None
    timezone: str = "UTC"
    after: str = ""
    recipients: tuple[str, ...] = ()
    attach: str = "pdf"
    keep: int = 30
    timeout_seconds: int = 1800
    retries: int = 0
    retry_pause_seconds: int = 60
    overlap: str = "skip"
    publisher: str = ""

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.timezone)

    def next_time(self, after: datetime) -> datetime | None:
        """When its cron is due next, UTC; None where it has none."""
        return next_time(self.cron, self.zone, after) if self.cron else None

    def values(self, moment: datetime) -> tuple[Any, dict[str, Any]]:
        """(day, parameters) of the run that was due at a moment, in the zone of the job."""
        local = moment.astimezone(self.zone)
        return day_of(self.date, local), resolved(self.parameters, local)


def job_files(settings: Settings) -> list[Path]:
    """The schedule files in force: ours, and those in the home, of which one replaces ours of the same name."""
    found = {
        file.stem: file
        for folder in (SHIPPED, settings.home / "scheduled")
        for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        if not file.name.startswith(".")
    }
    return [found[name] for name in sorted(found)]


def read_jobs(paths: Iterable[Path], settings: Settings) -> tuple[dict[str, Job], list[Fault]]:
    """The jobs of some files by name, and every fault of every file. A file with a fault gives no job."""
    jobs: dict[str, Job] = {}
    faults: list[Fault] = []
    known = {"report": notebooks(settings), "board": board_notebooks(settings)}
    for path in paths:
        document = Document(path)
        document.read(KEYS)
        job = _job(document, known)
        if not document.faults:
            jobs[job.name] = job
        faults += document.faults
    return jobs, faults + _chains(jobs)


def load_jobs(paths: Sequence[Path], settings: Settings) -> dict[str, Job]:
    """The jobs of some files by name. Raises ConfigError with every fault, a line each."""
    jobs, faults = read_jobs(paths, settings)
    if faults:
        lines = "\n".join(map(str, sorted(faults, key=lambda fault: (str(fault.file), fault.line))))
        raise ConfigError(lines, hint="`workbench jobs check FILE…` checks again")
    return jobs


def text_faults(name: str, text: str, notebook: Path, settings: Settings) -> list[str]:
    """The faults of a schedule file that is not written yet, for a notebook that does not lie in its place yet."""
    with tempfile.TemporaryDirectory(prefix="workbench-check-") as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        document = Document(file)
        document.read(KEYS)
        _job(document, {kind: {name: notebook} for kind in KINDS})
    return [f"line {fault.line}: {fault.message}" for fault in document.faults]


def _job(document: Document, places: Mapping[str, Mapping[str, Path]]) -> Job:
    name = document.file.stem
    if not NAME.fullmatch(name):
        document.fault(1, f"{name!r} cannot name a job: small letters, digits, _ and -, a letter first")
    kind = document.choice("kind", KINDS, "report")
    known = places[kind]
    notebook = document.text("notebook", None)
    if notebook and notebook not in known:
        near = difflib.get_close_matches(notebook, list(known), n=1, cutoff=0.0)
        document.fault(
            "notebook", f"there is no notebook {notebook!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    job = Job(
        name,
        document.file,
        notebook,
        title=document.text("title") or name.replace("_", " ").capitalize(),
        about=document.text("about"),
        kind=kind,
        date=_day(document),
        parameters=_parameters(document, known.get(notebook)),
        cron=_cron(document),
        timezone=_timezone(document),
        after=document.text("after"),
        recipients=_recipients(document),
        attach=document.choice("attach", ATTACHED, "pdf"),
        keep=document.whole("keep", 30, 1, 1000),
        timeout_seconds=_seconds(document, "timeout", 1800),
        retries=document.whole("retries", 0, 0, 10),
        retry_pause_seconds=_seconds(document, "retry_pause", 60),
        overlap=document.choice("overlap", OVERLAPS, "skip"),
        publisher=document.text("publisher"),
    )
    if not job.cron and not job.after and not document.faults:
        document.fault(1, "says not when to run: it needs `cron` or `after`")
    if job.cron and not document.faults and job.next_time(datetime.now(UTC)) is None:
        document.fault("cron", f"{job.cron.text!r} never comes")
    return job


def _cron(document: Document) -> Cron | None:
    text = document.text("cron")
    try:
        return parse_cron(text) if text else None
    except InputError as error:
        document.fault("cron", f"cron: {error.message}. {error.hint}")
        return None


def _timezone(document: Document) -> str:
    name = document.text("timezone", "UTC")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no such name, a path, a folder
        pass
    else:
        return name
    from zoneinfo import available_timezones

    document.fault("timezone", f"there is no time zone {name!r}{_nearest(name, available_timezones())}")
    return "UTC"


def _day(document: Document) -> str:
    found = document.values.get("date", "today")
    try:
        day_of(str(found), datetime.now(UTC))
    except InputError as error:
        document.fault("date", f"date: {error.message}. {error.hint}")
    return str(found)


def _seconds(document: Document, key: str, default: int) -> int:
    found = document.values.get(key)
    try:
        return default if found is None else seconds_of(found)
    except InputError as error:
        document.fault(key, f"{key}: {error.message}. {error.hint}")
        return default


def _recipients(document: Document) -> tuple[str, ...]:
    found = document.texts("recipients")
    for address in found:
        if not ADDRESS.fullmatch(address):
            document.fault("recipients", f"{address!r} is no mail address")
    return found


def _parameters(document: Document, notebook: Path | None) -> dict[str, Any]:
    given = document.values.get("parameters") or {}
    if not isinstance(given, dict):
        document.fault("parameters", "parameters must be a mapping")
        return {}
    own: dict[str, Any] | None = {}
    if notebook is not None:
        try:
            own = parameters_of(notebook)
        except InputError as error:
            document.fault("notebook", f"{error.where}: {error.message}")
        if own is None:
            document.fault("notebook", f"{notebook.name} has no cell tagged `parameters`")
    for name, value in given.items():
        place = f"parameters.{name}"
        if (words := moving(value)) is not None:
            try:
                day_of(words, datetime.now(UTC))
            except InputError as error:
                document.fault(place, f"{name}: {error.message}. {error.hint}")
        if name in FILLED_IN:
            document.fault(place, f"{name!r} is filled in by the run; the key `date` beside `parameters` sets the day")
        elif own and name not in own:
            hint = _nearest(str(name), [key for key in own if key not in FILLED_IN]) or "; it has none of its own"
            document.fault(place, f"the notebook has no parameter {name!r}{hint}")
        elif own and (why := wrong_type(value, own[name])):
            document.fault(place, f"{name} {why}")
    return dict(given)


def _chains(jobs: Mapping[str, Job]) -> list[Fault]:
    """Faults between files: `after` a job that is not there, or in a circle."""
    found = []
    for job in jobs.values():
        if job.after and job.after not in jobs:
            found.append(Fault(job.file, 1, f"after: there is no job {job.after!r}{_nearest(job.after, jobs)}"))
        seen, at = [job.name], job
        while at.after in jobs:
            at = jobs[at.after]
            if at.name == job.name:
                found.append(Fault(job.file, 1, f"after: goes in a circle, {' after '.join([*seen, job.name])}"))
                break
            if at.name in seen:
                break
            seen.append(at.name)
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
    return f"; did you mean {near[0]!r}?" if near else ""
