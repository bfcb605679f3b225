"""A small process of a workbench for the tests of the supervisor: `fake_child.py NAME [stubborn|crash|parent]`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from workbench.serve.process import child_main

name, mode = sys.argv[1:3]
child = child_main(name, sys.argv[3:])
if mode == "crash":
    print("boom", file=sys.stderr)
    sys.exit(3)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
note = {"pid": os.getpid(), "environment": dict(os.environ), "ports": dict(child.ports), "argv": sys.argv}
if mode == "parent":
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    note["grandchild"] = grandchild.pid
draft = child.settings.state_dir / f"{name}.draft"
draft.write_text(json.dumps(note))
draft.rename(child.settings.state_dir / f"{name}.json")
print(f"{name} writes to its log", flush=True)
while True:
    if not child.sockets:
        time.sleep(1000)
    connection, _ = child.sockets["main"][0].accept()
    with connection:
        connection.recv(1000)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{os.getpid():09d}".encode())
