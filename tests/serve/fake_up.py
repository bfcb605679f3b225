"""Run the supervisor over fake processes: `fake_up.py HOME NAME=MODE…`; the first of them serves the main port."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from workbench.serve.running import local_http
from workbench.serve.running.children import Spec
from workbench.serve.up import up

FLAGS = {"front.port": 0, "front.notebook_port": 0, "ingest.port": 0, "ingest.grpc_port": 0, "front.browser": False}


def fakes(settings, ports):
    async def ready():
        return (await local_http.get(("127.0.0.1", ports.numbers["main"]), "/readyz"))[0] == 200

    child = str(Path(__file__).with_name("fake_child.py"))
    parent = ("--parent", str(os.getpid()))
    for number, (name, _, mode) in enumerate(text.partition("=") for text in sys.argv[2:]):
        if number == 0:
            fd = ports.sockets["main"][0].fileno()
            yield Spec(name, (child, name, mode, *parent, "--fd", f"main={fd}"), (fd,), ready)
        else:
            yield Spec(name, (child, name, mode, *parent))


sys.exit(up(Path(sys.argv[1]), FLAGS, list_processes=lambda settings, ports: list(fakes(settings, ports))))
