"""The mails that wait: written with the run that they tell of, and sent until the server took them."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from workbench import log
from workbench.config import Mail, Settings
from workbench.errors import DeliveryError
from workbench.store import state

TIMEOUT_SECONDS = 30
LONGEST_PAUSE_US = 15 * 60 * 1_000_000
KEEP_US = 7 * 24 * 3600 * 1_000_000
"""How long a mail is tried, and how long it is remembered that it was sent."""
PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

Send = Callable[[Mail, Sequence[str], bytes], dict[str, str]]

logger = log.get(__name__)


def send_due(engine: sa.Engine, settings: Settings, now_us: int, *, send: Send | None = None) -> int:
    """Send what is due; how many mails were taken. Only one process of a home does this.

    A server that takes a mail for some of its recipients alone gets it again for the others.
    """
    table = state.mails
    due = sa.and_(table.c.state == "queued", table.c.next_attempt_us <= now_us)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table).where(due).order_by(table.c.id).limit(20)).all()
    taken = 0
    for row in rows:
        try:
            refused = (send or send_mail)(settings.mail, row.recipients, row.message)
        except DeliveryError as error:
            _failed(engine, row, now_us, str(error), error.retry)
            continue
        if refused:
            _failed(
                engine, row, now_us, "; ".join(f"{who}: {why}" for who, why in refused.items()), True, list(refused)
            )
            continue
        _update(engine, row.id, state="sent", sent_us=now_us, message=None, last_error=None)
        taken += 1
    with engine.begin() as connection:
        old = sa.and_(table.c.state != "queued", table.c.created_us < now_us - KEEP_US)
        if rows:
            connection.execute(sa.delete(table).where(old))
    return taken


def mails_of(engine: sa.Engine, runs: Sequence[int]) -> dict[int, str]:
    """What became of the mails of some runs, in words by run."""
    table = state.mails
    query = sa.select(table.c.run_id, table.c.state, table.c.last_error).where(table.c.run_id.in_(list(runs)))
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(table.c.id)).all()
    words = {"queued": "waits", "failed": "not taken"}
    return {
        row.run_id: words.get(row.state, row.state) + (f": {row.last_error}" if row.last_error else "") for row in rows
    }


def send_mail(mail: Mail, recipients: Sequence[str], message: bytes) -> dict[str, str]:
    """Hand a message to the server; the recipients that it refused, with its words. Raises DeliveryError."""
    if not mail.server:
        raise DeliveryError("no mail server is set", retry=True, hint="Set mail.server and mail.sender.")
    url = urlsplit(mail.server)
    if url.scheme not in PORTS or not url.hostname:
        known = ", ".join(f"{name}://HOST" for name in PORTS)
        raise DeliveryError("mail.server cannot be read", retry=True, where="mail.server", hint=f"Write it as {known}.")
    port = url.port or PORTS[url.scheme]
    try:
        with _connected(url.scheme, url.hostname, port) as server:
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            refused = server.sendmail(mail.sender or f"workbench@{url.hostname}", list(recipients), message)
    except smtplib.SMTPRecipientsRefused as error:
        return {who: _words(answer) for who, answer in error.recipients.items()}
    except (smtplib.SMTPException, OSError) as error:
        retry = not (isinstance(error, smtplib.SMTPResponseException) and error.smtp_code in (552, 554))
        text = str(error) or type(error).__name__
        raise DeliveryError(text, retry=retry, where=f"{url.scheme}://{url.hostname}:{port}") from error
    return {who: _words(answer) for who, answer in refused.items()}


def _connected(scheme: str, host: str, port: int) -> smtplib.SMTP:
    # By default smtplib asks the name service for our own name, which takes 5 s where there is none.
    ours = socket.gethostname()
    if scheme == "smtps":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port, local_hostname=ours, timeout=TIMEOUT_SECONDS, context=context)
    server = smtplib.SMTP(host, port, local_hostname=ours, timeout=TIMEOUT_SECONDS)
    if scheme == "smtp+starttls":
        server.starttls(context=ssl.create_default_context())
    return server


def _failed(
    engine: sa.Engine, row: Any, now_us: int, error: str, retry: bool, recipients: Sequence[str] | None = None
) -> None:
    logger.warning("mail not taken", subject=row.subject, error=error)
    over = not retry or row.created_us < now_us - KEEP_US
    pause_us = min(10_000_000 * 2 ** min(row.attempts, 20), LONGEST_PAUSE_US)
    _update(
        engine,
        row.id,
        state="failed" if over else "queued",
        attempts=row.attempts + 1,
        next_attempt_us=now_us + pause_us,
        last_error=error[:500],
        recipients=list(recipients or row.recipients),
        message=None if over else row.message,
    )


def _update(engine: sa.Engine, number: int, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(state.mails).where(state.mails.c.id == number).values(**values))


def _words(answer: tuple[int, bytes]) -> str:
    code, text = answer
    return f"{code} {text.decode('utf-8', 'replace')}"
