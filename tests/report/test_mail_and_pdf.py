"""A report as a mail and as a PDF: charts with their alt texts, nothing from elsewhere, read by real servers."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pypdf
import pytest
import sqlalchemy as sa

from report.conftest import notebook
from report.mailbox import Mailbox, mail_server
from workbench import config
from workbench.report import Job, Run, kept_pdf, mails_of, report_pdf, run_report, send_due
from workbench.report.deliver.mail import MAX_BYTES, failure_mail, report_mail
from workbench.report.deliver.pdf import html_pdf
from workbench.report.deliver.text import text_of
from workbench.store import state

CELL = """
import numpy as np
from IPython.display import Markdown, display
from workbench.report import line_chart, table
link = "[link](https://example.org/a?b=1&c=2)"
display(Markdown(f"# Day\\n\\nSome **bold** words & a {link}.\\n\\n## Next\\n\\n- one\\n- *two*"))
display(table([{"Measure": "CPU <1>", "Mean": "12 %"}, {"Measure": "Memory", "Mean": "#3 $x$ @y"}]))
display(line_chart("CPU", "share", {"today": (np.arange(24.0), np.arange(24.0) / 30)}, alt='CPU "rises" to 77 %'))
"""
DUE_US = 1_795_500_000_000_000
JOB = Job("day", Path("day.yaml"), "day", title="The day", recipients=("a@example.org", "b@example.org"))
RUN = Run(7, "day", "schedule", DUE_US, "running", 1, DUE_US, "", DUE_US, None, None, 0, "")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """One run of a notebook that shows all that reports show."""
    from report.conftest import measure

    settings = config.load(tmp_path_factory.mktemp("mail") / "home", environ={})
    measure(settings, [1.0, 2.0])
    notebook(settings, "day", CELL)
    return run_report("day", settings=settings, day=date(2026, 11, 20))


def queued(engine, message: bytes, recipients: tuple[str, ...] = JOB.recipients) -> None:
    with engine.begin() as connection:
        connection.execute(
            state.mails.insert().values(
                dedup_key=f"run:{len(message)}", run_id=7, recipients=list(recipients), subject="The day",
                message=message, state="queued", created_us=DUE_US, attempts=0, next_attempt_us=0,
            )
        )  # fmt: skip


def sent_by(settings: config.Settings, url: str) -> config.Settings:
    return replace(settings, mail=config.Mail(server=url, sender="workbench@example.org"))


@pytest.fixture
def engine(settings):
    made = state.engine(settings)
    yield made
    made.dispose()


def test_a_mail_arrives_whole_with_charts_that_say_what_they_show(report, settings, engine):
    queued(engine, report_mail(JOB, RUN, report, sender="workbench@example.org", link="https://wb.example/reports/1"))
    with mail_server(Mailbox()) as mailbox:
        assert send_due(engine, sent_by(settings, mailbox.url), DUE_US) == 1
        assert send_due(engine, sent_by(settings, mailbox.url), DUE_US) == 0, "once"
    ((recipients, message),) = mailbox.taken
    assert recipients == ["a@example.org", "b@example.org"]
    assert message["subject"] == "The day, 2026-11-20"
    assert message["message-id"] == f"<run-7-{DUE_US}@workbench>"
    html = message.get_body(("html",)).get_content()
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert [part["content-id"] for part in pictures] == ["<run-7-1@workbench>"]
    assert pictures[0].get_content().startswith(b"\x89PNG")
    (image,) = re.findall(r"<img[^>]*>", html)
    assert 'src="cid:run-7-1@workbench"' in image
    assert re.search(r'alt="CPU (&quot;|&#34;)rises(&quot;|&#34;) to 77 %"', image)
    assert "data:" not in html
    assert "<style" not in html, "mail readers drop it"
    assert "var(" not in html
    assert not re.findall(r'src="http', html)
    assert report.lake_version in html
    text = message.get_body(("plain",)).get_content()
    assert '[Chart: CPU "rises" to 77 %]' in text
    assert "CPU <1>  12 %" in text
    assert "link (https://example.org/a?b=1&c=2)" in text
    assert "https://wb.example/reports/1" in text
    (pdf,) = [part for part in message.walk() if part.get_content_type() == "application/pdf"]
    assert pdf.get_filename() == "day-2026-11-20.pdf"
    assert mails_of(engine, [7]) == {7: "sent"}


def test_a_report_too_large_for_a_mail_goes_as_text_with_a_link(report, monkeypatch):
    monkeypatch.setattr("workbench.report.deliver.mail.MAX_BYTES", 20_000)
    made = report_mail(JOB, RUN, report, sender="a@b.c", link="https://wb.example/reports/1")
    assert len(made) < 20_000 < MAX_BYTES
    assert b"too large for a mail" in made
    assert b"Chart:" in made


def test_who_is_refused_gets_it_again_and_nobody_else_does(report, settings, engine):
    queued(engine, failure_mail(JOB, RUN, "cell 4: boom", sender="a@b.c"))
    with mail_server(Mailbox(refuses=("b@example.org",))) as mailbox:
        there = sent_by(settings, mailbox.url)
        assert send_due(engine, there, DUE_US) == 0
        assert "b@example.org: 550 no such mailbox" in mails_of(engine, [7])[7]
        mailbox.refuses.clear()
        assert send_due(engine, there, DUE_US + 1) == 0, "not before the pause"
        assert send_due(engine, there, DUE_US + 60_000_000) == 1
    assert [recipients for recipients, _ in mailbox.taken] == [["a@example.org"], ["b@example.org"]]
    body = mailbox.taken[0][1].get_content()
    assert "The day (day) failed." in body
    assert "cell 4: boom" in body
    assert "Due: 2026-11-24 06:00 UTC" in body


def test_without_a_server_or_with_one_that_is_away_a_mail_waits_and_says_why(settings, engine):
    queued(engine, b"Subject: x\r\n\r\nx")
    assert send_due(engine, settings, DUE_US) == 0
    assert "no mail server is set" in mails_of(engine, [7])[7]
    away = sent_by(settings, "smtp://127.0.0.1:1")
    assert send_due(engine, away, DUE_US + 3600_000_000) == 0
    assert "smtp://127.0.0.1:1" in mails_of(engine, [7])[7]
    wrong = sent_by(settings, "http://127.0.0.1")
    send_due(engine, wrong, DUE_US + 7200_000_000)
    assert "mail.server cannot be read" in mails_of(engine, [7])[7]
    with mail_server(Mailbox()) as mailbox:
        assert send_due(engine, sent_by(settings, mailbox.url), DUE_US + 4 * 3600_000_000) == 1


def test_a_password_of_the_server_is_used_and_never_told(settings, engine):
    seen = []

    def authenticate(server, session, envelope, mechanism, data):
        from aiosmtpd.smtp import AuthResult

        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"se cret", handled=False)

    queued(engine, b"Subject: x\r\n\r\nx")
    options = {
        "authenticator": authenticate,
        "auth_require_tls": False,
        "auth_required": True,
        "auth_exclude_mechanism": ["LOGIN"],
    }
    with mail_server(Mailbox(), **options) as mailbox:
        for password, taken in (("wrong", 0), ("se%20cret", 1)):
            there = sent_by(settings, mailbox.url.replace("smtp://", f"smtp://jobs:{password}@"))
            assert send_due(engine, there, DUE_US + taken * 3600_000_000) == taken
            assert password not in mails_of(engine, [7])[7]
    assert (b"jobs", b"se cret") in seen


def test_a_pdf_is_tagged_with_alt_texts_numbers_and_provenance(report):
    reader = pypdf.PdfReader(io.BytesIO(report_pdf(report)))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert reader.metadata.title == "Day, 2026-11-20"
    text = reader.pages[0].extract_text()
    assert "Some bold words & a link" in text
    assert "#3 $x$ @y" in text, "nothing is read as code"
    assert report.lake_version in text
    assert re.search(r"\b1 / 1\b", text)

    def tags(node):
        node = node.get_object()
        children = node.get("/K", [])
        yield str(node.get("/S", "")), node.get("/Alt")
        for child in children if isinstance(children, list) else [children]:
            if isinstance(child.get_object(), dict):
                yield from tags(child)

    found = list(tags(root["/StructTreeRoot"]))
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/L", "/Figure"} <= {kind for kind, _ in found}
    assert [alt for kind, alt in found if kind == "/Figure"] == ['CPU "rises" to 77 %']
    links = [annotation.get_object()["/A"]["/URI"] for annotation in reader.pages[0]["/Annots"]]
    assert links == ["https://example.org/a?b=1&c=2"]


def test_the_pdf_is_kept_beside_the_page(report):
    file = kept_pdf(report)
    assert file.parent == report.folder
    assert kept_pdf(report).stat().st_mtime_ns == file.stat().st_mtime_ns


@pytest.mark.parametrize(
    "body",
    [
        "<h3>deep first</h3><h1>then top</h1><h4>skips</h4>",
        "<table><tr><td>a</td></tr><tr><td>b</td><td>c</td></tr></table><table></table>",
        '<p>#import "x"; \\ " ] [ $ * _ ` @ ~ // /* */</p><pre>a  b\n#c</pre><p></p>',
        "<ul></ul><ol><li>a<ul><li>b</li></ul></li></ol>",
        '<img src="https://evil.example/x.png" alt="far"><img src="data:image/png;base64,@@">',
        "<p>unclosed <b>bold <table><tr><th>x",
        "",
        "<p>" + "long words " * 5000 + "</p>",
        "<p>\u200b\u202e\x07 ünïcode 日本</p>",
    ],
)
def test_any_page_gives_a_pdf_and_a_text(body):
    page = f"<html><body><main>{body}</main></body></html>"
    assert html_pdf(page, title="Any").startswith(b"%PDF")
    assert "evil.example" not in text_of(page)


def test_our_own_report_style_has_nothing_that_mail_readers_do_not_know():
    from workbench.report.deliver.mail import plain_css
    from workbench.report.render import TEMPLATE

    css = plain_css((TEMPLATE / "report.css").read_text())
    assert "@media" not in css
    assert "var(" not in css
    assert "--" not in css
    assert "#1c2430" in css


def test_rows_of_mails_are_forgotten_after_a_week(settings, engine):
    queued(engine, b"Subject: x\r\n\r\nx")
    week_us = 8 * 24 * 3600 * 1_000_000
    send_due(engine, settings, DUE_US + week_us)
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(state.mails)).scalar() <= 1
    assert "not taken" in mails_of(engine, [7]).get(7, "not taken")
