"""JupyterLab of one person, as the proxy reaches it: it works, and nothing in it reaches what is not his."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, need
from report.conftest import measure
from websockets.sync.client import unix_connect

from workbench import config
from workbench.query import parse_matchers
from workbench.sandbox import available
from workbench.serve.access.rows import RowsViews, remove_rows, set_rows
from workbench.serve.access.versions import Versions
from workbench.serve.identity.people import create_owner
from workbench.serve.identity.users import add_user
from workbench.serve.sessions.brokers import Brokers
from workbench.store import open_view, state

MEMORY_BYTES = 500 * 2**20


class Front:
    """What of `front` a Lab needs: its brokers, on a loop of their own."""

    def __init__(self, settings: config.Settings) -> None:
        self.engine = state.engine(settings)
        create_owner(self.engine)
        self.user = add_user(self.engine, "ann", "analyst")
        self.brokers = Brokers(settings, RowsViews(open_view(settings), self.engine), self.engine, Versions(settings))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self.brokers.listen(), self._loop).result(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self.brokers.close()
        self.engine.dispose()


@dataclass
class Lab:
    """A running JupyterLab, and how to ask it as the proxy does."""

    settings: config.Settings
    front: Front
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def folder(self) -> Path:
        return self.settings.runtime_dir / f"lab-{self.front.user}"

    @property
    def own(self) -> Path:
        return self.settings.home / "notebooks" / "people" / str(self.front.user)

    @property
    def token(self) -> str:
        return (self.folder / "token").read_text()

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        headers = {"authorization": f"token {self.token}", **options.pop("headers", {})}
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.folder / "lab.sock"))) as client:
            return client.request(method, f"http://127.0.0.1{path}", headers=headers, timeout=60, **options)

    def kernel(self) -> str:
        made = self.ask("POST", "/lab/api/kernels", json={"name": "python3"})
        assert made.status_code == 201, made.text
        return made.json()["id"]

    def run(self, kernel: str, code: str, *, seconds: float = 90) -> str:
        """What a cell prints, its error included."""
        address = f"ws://127.0.0.1/lab/api/kernels/{kernel}/channels?session_id=x"
        headers = {"authorization": f"token {self.token}"}
        printed = []
        with unix_connect(
            str(self.folder / "lab.sock"), address, additional_headers=headers, max_size=None, open_timeout=90
        ) as socket:
            ident = uuid.uuid4().hex
            header = {"msg_id": ident, "msg_type": "execute_request", "session": "x", "username": "", "version": "5.3"}
            content = {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
            }
            message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            socket.send(json.dumps(message))
            end = time.monotonic() + seconds
            while True:
                got = json.loads(socket.recv(timeout=max(end - time.monotonic(), 0)))
                kind, content = got["header"]["msg_type"], got["content"]
                if kind == "status" and content["execution_state"] == "restarting":
                    return "".join(printed)
                if got["parent_header"].get("msg_id") != ident:
                    continue
                if kind == "stream":
                    printed.append(content["text"])
                elif kind == "error":
                    printed.append(f"{content['ename']}: {content['evalue']}")
                elif kind == "status" and content["execution_state"] == "idle":
                    return "".join(printed)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    need(not available(), available())
    folder = tmp_path_factory.mktemp("lab")
    settings = config.load(folder / "home", environ={})
    measure(settings, [1.0, 2.0, 3.0, 4.0])
    settings.state_dir.mkdir(exist_ok=True)
    (settings.home / "notebooks" / "people" / "1").mkdir(parents=True)
    (settings.home / "notebooks" / "people" / "1" / "diary.txt").write_text("the owner's diary")
    (settings.home / "notebooks" / "shared.ipynb").write_text("{}")
    front = Front(settings)
    environment = {**os.environ, "WORKBENCH_HOME": str(settings.home), "WORKBENCH_LAB_MEMORY_BYTES": str(MEMORY_BYTES)}
    environment |= {"SECRET_OF_TEST": "s3cret", "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "workbench.serve.lab", "--person", f"user:{front.user}", "--role", "analyst"]
    log = folder / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output, cwd=ROOT)
    made = Lab(settings, front, process, log)
    try:
        deadline = time.monotonic() + 90
        while not (made.folder / "token").exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        front.close()


@pytest.fixture(scope="module")
def kernel(lab: Lab) -> str:
    return lab.kernel()


def test_the_page_loads_and_nothing_reaches_out(lab):
    page = lab.ask("GET", "/lab/lab")
    assert page.status_code == 200
    data = json.loads(page.text.split('id="jupyter-config-data" type="application/json">')[1].split("</script>")[0])
    assert data["news"] == {"disabled": True}
    assert data["terminalsAvailable"] is False
    assert data["token"] == "", "the page does not tell the server's secret"
    assert lab.token not in page.text
    assert "@jupyterlab/extensionmanager-extension" in data["disabledExtensions"]
    assert lab.ask("GET", "/lab/api/terminals").status_code == 404
    assert lab.ask("POST", "/lab/api/terminals").status_code in {403, 404}
    assert list(lab.ask("GET", "/lab/api/kernelspecs").json()["kernelspecs"]) == ["python3"]


def test_without_the_token_nothing_is_answered(lab):
    for path in ("/lab/lab", "/lab/api/contents", "/lab/api/kernels"):
        assert lab.ask("GET", path, headers={"authorization": ""}).status_code in {302, 403}


def test_figures_are_those_of_the_workbench(lab, kernel):
    code = (
        "import workbench; wb = workbench.open()\n"
        'print(float(wb.query("x_ratio", time="2026-11-20T12:00:03").item()))\n'
        'print(wb.catalog["samples"].read().value.sum().compute())'
    )
    assert lab.run(kernel, code).split() == ["4.0", "10.0"]


def test_its_folder_and_what_is_shared(lab):
    names = {entry["name"] for entry in lab.ask("GET", "/lab/api/contents").json()["content"]}
    assert {"shipped", "published"} <= names
    shared = lab.ask("GET", "/lab/api/contents/published").json()["content"]
    assert [entry["name"] for entry in shared if entry["name"] != "people"] == ["shared.ipynb"]
    saved = lab.ask("PUT", "/lab/api/contents/mine.txt", json={"type": "file", "format": "text", "content": "mine"})
    assert saved.status_code == 201
    assert (lab.own / "mine.txt").read_text() == "mine"
    denied = lab.ask("PUT", "/lab/api/contents/shipped/x.txt", json={"type": "file", "format": "text", "content": "x"})
    assert denied.status_code >= 400


@pytest.mark.parametrize(
    "path",
    [
        "../1/diary.txt",
        "..%2f1%2fdiary.txt",
        "%2e%2e/1/diary.txt",
        "published/people/1/diary.txt",
        "link/diary.txt",
        "state.db",
        "....//1/diary.txt",
    ],
)
@pytest.mark.parametrize("tree", ["api/contents", "files", "nbconvert/html", "view"])
def test_no_path_leads_out_of_it(lab, tree, path):
    links = {"link": lab.own.parent / "1", "state.db": lab.settings.state_dir / "state.db"}
    for name, target in links.items():
        if not (lab.own / name).is_symlink():
            (lab.own / name).symlink_to(target)
    answer = lab.ask("GET", f"/lab/{tree}/{path}")
    assert answer.status_code >= 400
    assert "diary" not in answer.text.replace("diary.txt", "")
    assert "SQLite format" not in answer.text


def test_a_kernel_reads_no_secret_and_writes_nothing_of_ours(lab, kernel):
    settings = lab.settings
    secrets = [
        settings.state_dir / "state.db",
        settings.log_dir,
        settings.runtime_dir / "hub.sock",
        lab.folder / "token",
    ]
    secrets += [settings.runtime_dir / "brokers.sock", lab.own.parent / "1" / "diary.txt", "/etc/shadow", "/root/.ssh"]
    code = (
        "import os, glob, socket\n"
        f"for path in {list(map(str, secrets))!r}:\n"
        "    if os.path.lexists(path): print('THERE', path)\n"
        f"for file in glob.glob({str(settings.lake_dir)!r} + '/**/*', recursive=True) + [workbench.__file__]:\n"
        "    try: os.rename(file, file + '~'); print('CHANGED', file)\n"
        "    except OSError: pass\n"
        f"print(len(glob.glob({str(settings.lake_dir)!r} + '/*')) > 0, 's3cret' in str(os.environ))\n"
        "try: socket.create_connection(('192.0.2.1', 80), 2); print('NETWORK')\n"
        "except OSError: pass\n"
    )
    assert lab.run(kernel, "import workbench\n" + code) == "True False\n"


def test_past_its_memory_a_kernel_ends_alone_and_says_why(lab, kernel):
    greedy = lab.kernel()
    lab.run(kernel, "kept = 42")
    told = lab.run(greedy, f"import time; x = bytearray(b'x') * {MEMORY_BYTES + 2**28}; time.sleep(600)")
    assert "This kernel was ended. It used" in told
    assert "more than the 0.5 GiB that it may use" in told
    assert lab.run(kernel, "print(kept)") == "42\n"
    assert lab.run(greedy, "print('again')") == "again\n"


def test_another_limit_of_rows_ends_it_and_it_starts_again_with_fewer(lab):
    """The last test of this file: the process is over after it."""
    assert parse_matchers('{job="none"}')
    set_rows(lab.front.engine, "user:ann", '{job="none"}')
    try:
        assert lab.process.wait(20) == 0
        assert not lab.folder.exists()
    finally:
        remove_rows(lab.front.engine, "user:ann")
