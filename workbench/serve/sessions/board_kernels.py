"""Kernels of interactive boards: one for a seat, without our secrets, and what a browser may say to them."""

from __future__ import annotations

import json
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
)
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from workbench import log
from workbench.serve.identity.people import Person
from workbench.serve.sessions.board_rooms import Room
from workbench.serve.sessions.seats import Seat

MESSAGES = frozenset({"comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request"})
"""What a browser may send: the traffic of widgets. It can execute, complete, inspect and shut down nothing."""
COMM_TARGETS = frozenset({"jupyter.widget.control"})
"""What a browser may open: the question for the widgets that the notebook made. It makes none of its own."""
CHANNEL = "shell"


@dataclass(frozen=True)
class Start:
    """A seat for which a kernel is being started, for whom, and the room it runs in."""

    seat: Seat
    person: Person
    room: Room


starting: ContextVar[Start] = ContextVar("starting")

_log = log.get("serve.boards")


def permitted(channel: str | None, kind: str, content: dict[str, Any]) -> bool:
    """Whether a message of a browser may reach a kernel."""
    if kind not in MESSAGES or channel not in (CHANNEL, "control"):
        return False
    return kind != "comm_open" or content.get("target_name") in COMM_TARGETS


class BoardConnection(ZMQChannelsWebsocketConnection):
    """A browser's connection to the kernel of its seat."""

    def handle_incoming_message(self, incoming_msg: str) -> None:
        """Pass on what is permitted, and drop the rest. A message that cannot be read ends nothing but itself."""
        try:
            channel, kind, content = self._read(incoming_msg)
        except Exception as error:
            # Whatever a browser makes up: the decoders raise what they please.
            _log.warning("a message to a board cannot be read", error=repr(error))
            return
        if not permitted(channel, kind, content):
            _log.warning("a message to a board is refused", kind=kind, channel=channel)
            return
        handler: Any = self.websocket_handler
        handler.used()
        super().handle_incoming_message(incoming_msg)

    def _read(self, message: Any) -> tuple[str | None, str, dict[str, Any]]:
        if self.subprotocol == "v1.kernel.websocket.jupyter.org":
            channel, parts = deserialize_msg_from_ws_v1(message)
            header, content = json.loads(parts[0]), json.loads(parts[3])
        else:
            whole = deserialize_binary_message(message) if isinstance(message, bytes) else json.loads(message)
            channel, header, content = whole.get("channel"), whole["header"], whole["content"]
        return channel, str(header["msg_type"]), dict(content)


class BoardKernels(AsyncMappingKernelManager):
    """Starts a kernel for the seat that asked for it, and for nobody else."""

    async def start_kernel(self, **options: Any) -> str:
        """The id of the new kernel."""
        start = starting.get(None)
        if start is None:
            raise PermissionError("a kernel is started for a seat alone")
        options.pop("env", None)  # what Voila collects is our environment
        try:
            kernel: str = await super().start_kernel(**options)
        except BaseException:
            start.room.close()
            raise
        boards: Any = self.parent
        boards.begun[kernel] = start
        boards.seats.start(start.seat, kernel, time.monotonic())
        return kernel
