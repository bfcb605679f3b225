"""A report as a mail: HTML with its styles at each element, charts as pictures with alt texts, a text part, a PDF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import cast

from workbench import log
from workbench.errors import ReportError
from workbench.report.deliver.text import text_of
from workbench.report.deliver.tree import picture_of, tree_of
from workbench.report.jobs.files import Job
from workbench.report.jobs.runs import Run
from workbench.report.kept import Report

MAX_BYTES = 10_000_000
"""What many mail servers take; a larger report goes without its PDF, then as text with a link."""

logger = log.get(__name__)


def report_mail(job: Job, run: Run, report: Report, *, sender: str, link: str = "") -> bytes:
    """The mail of a report that is done; less than 10 MB. `link` is where it can be read, empty where nobody said."""
    html = report.html.read_text(encoding="utf-8")
    subject = f"{job.title}, {report.date}"
    for with_pictures, with_pdf in ((True, job.attach == "pdf"), (True, False), (False, False)):
        message = _message(subject, job.recipients, sender, f"run-{run.id}", run)
        note = "" if with_pictures else "\nThe report is too large for a mail. " + (link or "Read it in the workbench.")
        message.set_content(text_of(html) + note + _foot(report, link))
        if with_pictures:
            _add_html(message, html, f"run-{run.id}")
        if with_pdf:
            _attach_pdf(message, report, f"{job.name}-{report.date}.pdf")
        made = message.as_bytes(policy=SMTP)
        if len(made) < MAX_BYTES:
            break
    return made


def failure_mail(job: Job, run: Run, error: str, *, sender: str, link: str = "") -> bytes:
    """The mail that says that a run failed: which, when, in what cell, and where to look."""
    due = datetime.fromtimestamp(run.scheduled_us / 1e6, job.zone)
    message = _message(f"{job.title} failed", job.recipients, sender, f"run-{run.id}-failed", run)
    lines = [
        f"{job.title} ({job.name}) failed.",
        "",
        f"Due: {due:%Y-%m-%d %H:%M %Z}",
        f"Attempts: {run.attempt}",
        f"Error: {error}",
        "",
        link or "Its output up to there is kept in the workbench, under Reports.",
    ]
    message.set_content("\n".join(lines) + "\n")
    return message.as_bytes(policy=SMTP)


def _message(subject: str, recipients: Sequence[str], sender: str, name: str, run: Run) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["Subject"] = " ".join(subject.split())
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(datetime.fromtimestamp((run.started_us or run.due_us) / 1e6, UTC))
    # The same name at each attempt: a receiver that has it already can tell.
    message["Message-ID"] = f"<{name}-{run.scheduled_us}@workbench>"
    message["Auto-Submitted"] = "auto-generated"
    return message


def _attach_pdf(message: EmailMessage, report: Report, name: str) -> None:
    from workbench.report.deliver.pdf import report_pdf

    try:
        content = report_pdf(report)
    except ReportError as error:  # the mail itself is worth more than its attachment
        logger.warning("a mail goes without its PDF", report=report.id, error=str(error))
        return
    message.add_attachment(content, maintype="application", subtype="pdf", filename=name)


def _foot(report: Report, link: str) -> str:
    lines = ["", "--", f"Data: lake version {report.lake_version}", f"Code: workbench {report.code_version}"]
    return "\n".join([*lines, *([link] if link else [])]) + "\n"


def _add_html(message: EmailMessage, html: str, name: str) -> None:
    """The page as the better alternative of the text, its pictures beside it, referred to by Content-ID."""
    import css_inline

    pictures: list[tuple[str, bytes]] = []

    def named(match: re.Match[str]) -> str:
        (image,) = tree_of(match[0]).find_all("img")
        found = picture_of(image)
        alt = escape(image.attributes.get("alt") or "a chart without a description")
        if found is None:
            return f"<p>[{alt}]</p>"
        pictures.append(found)
        width = escape(image.attributes.get("width", "640"))
        return f'<img src="cid:{name}-{len(pictures)}@workbench" alt="{alt}" width="{width}">'

    styled = re.sub(
        r"<style>(.*?)</style>", lambda match: f"<style>{plain_css(match[1])}</style>", html, flags=re.DOTALL
    )
    inlined = css_inline.inline(re.sub(r"<img\b[^>]*>", named, styled), load_remote_stylesheets=False)
    message.add_alternative(inlined, subtype="html")
    page = cast(EmailMessage, cast(list, message.get_payload())[-1])
    for number, (kind, content) in enumerate(pictures, 1):
        page.add_related(
            content,
            maintype="image",
            subtype=kind,
            cid=f"<{name}-{number}@workbench>",
            filename=f"chart-{number}.{kind}",
            disposition="inline",
        )


def plain_css(css: str) -> str:
    """A style sheet without variables and media queries, which mail readers do not know: the light colours."""
    css = _without_media(css)
    names = dict(re.findall(r"(--[\w-]+):\s*([^;}]+)", css.partition("}")[0]))
    css = re.sub(r"var\((--[\w-]+)\)", lambda match: names.get(match[1], "inherit").strip(), css)
    return re.sub(r"(:root|\*)\s*\{[^}]*\}", "", css)


def _without_media(css: str) -> str:
    kept, depth, skipping = [], 0, False
    for part in re.split(r"([{}])", css):
        if depth == 0 and part.lstrip().startswith("@media"):
            skipping = True
        depth += (part == "{") - (part == "}")
        if not skipping:
            kept.append(part)
        if skipping and part == "}" and depth == 0:
            skipping = False
    return "".join(kept)
