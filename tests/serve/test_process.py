"""How a process of the workbench begins."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

from conftest import ROOT

from workbench.serve.process import child_main, port_numbers
from workbench.serve.running import home

TELL = """
import json, signal
from workbench.serve.process import child_main
child = child_main("front")
sockets = {name: [one.getsockname()[1] for one in many] for name, many in child.sockets.items()}
inheritable = any(one.get_inheritable() for many in child.sockets.values() for one in many)
print(json.dumps([child.name, sockets, dict(child.ports), str(child.settings.home), inheritable,
                  signal.getsignal(signal.SIGINT) is signal.SIG_IGN]))
"""


def test_a_child_gets_its_settings_and_sockets(settings):
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as second,
    ):
        environment = home.child_environment(settings, {"front.port": 7001, "demo.enabled": False}, os.environ)
        fds = (first.fileno(), second.fileno())
        handed = [part for fd in fds for part in ("--fd", f"main={fd}")]
        told = subprocess.run(
            [sys.executable, "-c", TELL, "--parent", str(os.getpid()), *handed],
            capture_output=True, text=True, check=True, cwd=ROOT, env=environment, pass_fds=fds,
        )  # fmt: skip
        name, sockets, ports, place, inheritable, deaf = json.loads(told.stdout)
        assert sockets == {"main": [first.getsockname()[1], second.getsockname()[1]]}
    assert name == "front"
    assert ports["main"] == 7001
    assert place == str(settings.home)
    assert not inheritable
    assert deaf  # a Ctrl-C is the supervisor's business


def test_a_child_started_by_hand_has_no_sockets(settings, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(settings.home))
    child = child_main("hub", [])
    assert child.sockets == {}
    assert child.settings.home == settings.home
    assert dict(child.ports) == port_numbers(settings)


def test_a_child_whose_parent_is_gone_already_ends_at_once(settings):
    environment = home.child_environment(settings, {}, os.environ)
    ended = subprocess.run(
        [sys.executable, "-c", TELL, "--parent", "1" if os.getpid() != 1 else "2"],
        capture_output=True, cwd=ROOT, env=environment, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stdout == b""


def test_any_module_can_be_run_as_a_process(settings):
    environment = home.child_environment(settings, {}, os.environ)
    command = [sys.executable, "-m", "workbench.serve.process", "--parent", str(os.getpid()), "json.tool", "--compact"]
    told = subprocess.run(command, input=b'{"a":  1}', capture_output=True, check=True, cwd=ROOT, env=environment)
    assert told.stdout.strip() == b'{"a":1}'
