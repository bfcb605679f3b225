"""A real mail server that keeps what it takes."""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

from aiosmtpd.controller import Controller


class Mailbox:
    """What a server took: (recipients, message) each. `refuses` are recipients that it does not know."""

    def __init__(self, *, refuses: tuple[str, ...] = ()) -> None:
        self.taken: list[tuple[list[str], EmailMessage]] = []
        self.refuses = list(refuses)
        self.url = ""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.taken.append((envelope.rcpt_tos, message))
        return "250 OK"


@contextmanager
def mail_server(mailbox: Mailbox, **options) -> Iterator[Mailbox]:
    """Serve a mailbox on a free port of loopback; `mailbox.url` is its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=port, server_hostname="localhost", data_size_limit=2**25, **options
    )
    controller.start()
    mailbox.url = f"smtp://127.0.0.1:{port}"
    try:
        yield mailbox
    finally:
        controller.stop()
