"""JupyterLab as it runs inside a person's sandbox: on a socket that it is given, with nothing that reaches out.

Its token comes on its standard input, where no kernel can read it again. It knows nobody: who may come is decided by
the gate in front of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyterlab.handlers.announcements import NeverCheckForUpdate
from traitlets.config import Config

from workbench import config

START = "start.ipynb"
DISABLED = (
    "@jupyterlab/extensionmanager-extension",
    "@jupyterlab/apputils-extension:announcements",
    "@jupyterlab/terminal-extension",
)
CULL_EVERY_SECONDS = 60


class SocketServer(ServerApp):
    """A Jupyter server that takes its connections from a socket that is open already, and says no address."""

    listening: socket.socket

    def _bind_http_server_unix(self) -> bool:
        self.http_server.add_socket(self.listening)
        return True

    def running_server_info(self, kernel_count: bool = True) -> str:
        """Nothing of its address: it would hold the token."""
        return "JupyterLab is running."


class TellingConnection(ZMQChannelsWebsocketConnection):
    """A browser's connection that says in the cell's output why its kernel was ended."""

    notes = Path()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked: list[dict[str, Any]] = []

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Pass on; remember which cells were asked to run. One that holds the interpreter says nothing of itself."""
        if self.subprotocol == "v1.kernel.websocket.jupyter.org":
            _, parts = deserialize_msg_from_ws_v1(incoming_msg)  # type: ignore[no-untyped-call]
            header = self.session.unpack(parts[0])
        else:
            header = json.loads(incoming_msg)["header"] if isinstance(incoming_msg, str) else {}
        if header.get("msg_type") == "execute_request":
            self._asked.append(header)
        super().handle_incoming_message(incoming_msg)

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Pass on; forget the cells that are done, which come in their order."""
        if getattr(stream, "channel", "") == "shell" and self._asked:
            _, parts = self.session.feed_identities(outgoing_msg)
            if self.session.unpack(parts[1])["msg_type"] == "execute_reply":
                done = self.session.unpack(parts[2]).get("msg_id")
                self._asked = [header for header in self._asked if header["msg_id"] != done]
        super().handle_outgoing_message(stream, outgoing_msg)

    def on_kernel_restarted(self) -> None:
        """Say why, while the cell still listens; then that the kernel starts again."""
        note = self.notes / self.kernel_id
        if self._asked and note.is_file():
            why = note.read_text(encoding="utf-8")
            text = f"This kernel was ended. {why}\nIt starts again empty; the notebook is as it was.\n"
            self._send("stream", {"name": "stderr", "text": text})
        self._asked.clear()
        super().on_kernel_restarted()  # type: ignore[no-untyped-call]

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        message = self.session.msg(kind, content, parent={"header": self._asked[0]})
        if self.subprotocol == "v1.kernel.websocket.jupyter.org":
            packed = serialize_msg_to_ws_v1(message, "iopub", self.session.pack)  # type: ignore[no-untyped-call]
            self.write_message(packed, binary=True)
        else:
            self.write_message(json.dumps({**message, "channel": "iopub"}, default=str))


def main() -> None:
    """Serve until nobody uses it."""
    parser = argparse.ArgumentParser(prog="workbench-lab-server")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--notes", type=Path, required=True)
    options = parser.parse_args()
    token = sys.stdin.readline().strip()
    if not token:
        sys.exit("no token")
    listening = socket.socket(fileno=options.fd)
    listening.setblocking(False)
    listening.set_inheritable(False)
    SocketServer.listening = listening
    TellingConnection.notes = options.notes
    _prepare(options.folder)
    server = SocketServer.instance(config=settings(token, options.folder, config.load()))
    server.initialize(argv=[], find_extensions=False)
    # JupyterLab's page would hold it; the proxy sends it, a browser never.
    server.web_app.settings["page_config_data"]["token"] = ""
    server.start()


def settings(token: str, folder: Path, own: config.Settings) -> Config:
    """Jupyter's settings: everything that is not set here has its usual value."""
    made = Config()
    made.ServerApp.update(
        {
            "sock": "given",
            "base_url": "/lab/",
            "default_url": f"/lab/lab/tree/{START}",
            "jpserver_extensions": {"jupyterlab": True},
            "root_dir": str(folder),
            "open_browser": False,
            "allow_remote_access": True,  # the gate knows the names under which it may be addressed
            "terminals_enabled": False,
            "allow_external_kernels": False,
            "kernel_websocket_connection_class": TellingConnection,
            "shutdown_no_activity_timeout": own.lab.idle_server_seconds,
            "quit_button": False,
            "max_body_size": 256 * 2**20,
            "max_buffer_size": 256 * 2**20,
        }
    )
    made.IdentityProvider.token = token
    made.KernelManager.transport = "ipc"
    made.MappingKernelManager.update(
        {
            "cull_idle_timeout": own.lab.idle_kernel_seconds,
            "cull_interval": CULL_EVERY_SECONDS,
            "cull_connected": True,
        }
    )
    made.KernelSpecManager.allowed_kernelspecs = {"python3"}
    made.ContentsManager.allow_hidden = False
    made.FileContentsManager.delete_to_trash = False
    made.LabApp.update(
        {"news_url": None, "check_for_updates_class": NeverCheckForUpdate, "extension_manager": "readonly"}
    )
    return made


def _prepare(folder: Path) -> None:
    """The start notebook, what kernels load by themselves, and what of JupyterLab is switched off."""
    shipped, start = folder / "shipped" / START, folder / START
    if shipped.is_file() and not start.exists():
        shutil.copyfile(shipped, start)
        start.chmod(0o600)
    profile = Path(os.environ["IPYTHONDIR"]) / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_config.py").write_text('c.InteractiveShellApp.extensions = ["workbench"]\n', encoding="utf-8")
    page = Path(os.environ["JUPYTER_CONFIG_DIR"]) / "labconfig" / "page_config.json"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps({"disabledExtensions": dict.fromkeys(DISABLED, True)}), encoding="utf-8")


if __name__ == "__main__":
    main()
