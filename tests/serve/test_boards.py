"""Interactive boards on their port: what Voila leaves open is closed; sessions are capped and their holders' own."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workbench import config
from workbench.sandbox import available
from workbench.serve.access.rows import set_rows
from workbench.store import state

SECRET = "this_is_the_source"
TOY = """
SECRET = 1
import os, socket, ipywidgets
from IPython.display import display, HTML
from pathlib import Path
home = Path(os.environ["WORKBENCH_HOME"])
def tried(what):
    try:
        return "got " + str(what())
    except Exception as error:
        return type(error).__name__
attempts = [
    tried(lambda: (home / "state" / "state.db").read_bytes()[:6]),
    tried(lambda: list((home / "dashboards").iterdir())),
    tried(lambda: list(home.parent.glob("workbench-*/boards.json"))[0].read_text()),
    tried(lambda: socket.create_connection(("127.0.0.1", PORT), 2)),
    tried(lambda: Path("/etc/shadow").read_text()),
]
slider = ipywidgets.IntSlider(3, description="Price")
display(HTML("<h1>Toy</h1><p id='env'>" + " ".join(sorted(os.environ)) + "</p>" + "; ".join(attempts)), slider)
"""


def publish(home: Path, name: str, source: str, **about: Any) -> None:
    made = nbformat.v4.new_notebook(metadata={"workbench": about})
    made.cells = [nbformat.v4.new_code_cell(source)]
    (home / "dashboards").mkdir(parents=True, exist_ok=True)
    nbformat.write(made, home / "dashboards" / f"{name}.ipynb")


@dataclass
class Served:
    """A process of boards, and requests to it as the front makes them."""

    settings: config.Settings
    process: subprocess.Popen[bytes]
    port: int
    token: str
    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def get(
        self, path: str, person: str = "user:1", *, method: str = "GET", token: str | None = None
    ) -> tuple[int, str]:
        """Status and body; the path goes out as it is written."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {
            "Authorization": f"token {self.token if token is None else token}",
            "X-Workbench-Person": person,
            "X-Workbench-Role": "viewer",
        }
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "replace")
        connection.close()
        return answer.status, answer.headers.get("Location", "") if answer.status == 302 else body

    def session(self, person: str) -> tuple[str, str]:
        """(kernel, page) of the session of somebody on the toy board."""
        if person not in self.sessions:
            _, body = self.get("/boards/seat/toy", person)
            status, page = self.get(json.loads(body)["address"], person)
            assert status == 200
            kernel = re.search(r'"kernelId": ?"([0-9a-f-]{36})"', page)
            assert kernel is not None
            self.sessions[person] = (kernel[1], page)
        return self.sessions[person]

    def socket(self, kernel: str, person: str, token: str | None = None) -> Any:
        headers = {"Authorization": f"token {self.token if token is None else token}", "X-Workbench-Person": person}
        address = f"ws://127.0.0.1:{self.port}/boards/api/kernels/{kernel}/channels?session_id={uuid.uuid4()}"
        return connect(address, additional_headers=headers, open_timeout=60, proxy=None)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="wb-"))  # short, as the paths of sockets must be
    home = folder / "home"
    probe = socket.create_server(("127.0.0.1", 0))
    publish(
        home,
        "toy",
        TOY.replace("SECRET", SECRET).replace("PORT", str(probe.getsockname()[1])),
        title="Toy",
        interactive=True,
    )
    publish(home, "plain", "1", title="Plain")
    environment = {**os.environ, "WORKBENCH_HOME": str(home), "XDG_RUNTIME_DIR": str(folder)}
    environment |= {"WORKBENCH_BOARDS_SESSIONS": "2", "SECRET_TOKEN": "abc", "JUPYTER_DATA_DIR": str(folder / "data")}
    environment |= {"JUPYTER_CONFIG_DIR": str(folder / "config"), "IPYTHONDIR": str(folder / "ipython")}
    process = subprocess.Popen([sys.executable, "-m", "workbench.serve.boards"], env=environment)
    runtime = folder / config.load(home, environ={}).runtime_dir.name
    try:
        where = wait_for(lambda: (runtime / "boards.json").exists() and (runtime / "boards.json").read_text(), process)
        assert (runtime / "boards.json").stat().st_mode & 0o077 == 0
        found = json.loads(where)
        yield Served(config.load(home, environ={}), process, found["port"], found["token"])
    finally:
        probe.close()
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(look: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> Any:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process is None or process.poll() is None
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


PATHS = ("/", "/boards/", "/boards/open/toy", "/boards/seat/toy", "/boards/voila/render/toy.ipynb",
         "/boards/voila/static/voila.js", "/boards/api/kernels/00000000-0000-0000-0000-000000000000")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong"])
def test_nobody_is_answered_without_the_token(served: Served, path: str, token: str):
    assert served.get(path, token=token)[0] == 403


CLOSED = (
    ("POST", "/boards/api/kernels"), ("GET", "/boards/api/kernels"), ("POST", "/boards/api/sessions"),
    ("POST", "/boards/api/terminals"), ("GET", "/boards/api/contents/toy.ipynb"), ("GET", "/boards/files/toy.ipynb"),
    ("GET", "/boards/voila/api/contents/toy.ipynb"), ("GET", "/boards/voila/files/toy.ipynb"), ("GET", "/boards/"),
    ("GET", "/boards/voila/files/picture.svg"), ("GET", "/boards/voila/tree"), ("GET", "/boards/voila/tree/"),
    ("GET", "/boards/login"), ("POST", "/boards/login"), ("GET", "/boards/logout"),
    ("GET", "/boards/voila/query/00000000-0000-0000-0000-000000000000"),
    ("POST", "/boards/voila/api/shutdown/00000000-0000-0000-0000-000000000000"),
    ("GET", "/boards/voila/static/../../../../etc/passwd"), ("GET", "/boards/voila/static/..%2f..%2f..%2fetc/passwd"),
    ("GET", "/boards/voila/templates/../../static/x"), ("GET", "/boards/voila/templates/lab/static/../../../../x"),
    ("GET", "/boards/voila/labextensions/../../../../../../etc/passwd"),
    ("GET", "/boards/voila/render/../../../home/state/state.db"), ("GET", "/boards/voila/render/plain.ipynb"),
    ("GET", "/boards/voila/render/toy.py"), ("GET", "/boards/voila/render/x/toy.ipynb"),
    ("GET", "/boards/open/plain"), ("GET", "/boards/seat/plain"), ("GET", "/boards/seat/nothing"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CLOSED, ids=lambda value: str(value))
def test_what_a_session_does_not_need_is_not_there(served: Served, method: str, path: str):
    status, body = served.get(path, method=method)
    assert status in (403, 404, 405, 400), body[:300]
    assert SECRET not in body
    assert "root:" not in body


def test_fetching_pages_starts_no_kernel(served: Served):
    for path in ("/boards/voila/render/toy.ipynb", "/boards/voila/render/toy.ipynb?seat=made-up"):
        assert served.get(path, "user:77") == (302, "/boards/open/toy")
    status, page = served.get("/boards/open/toy", "user:77")
    assert status == 200
    assert "Toy" in page
    assert not list((served.settings.home.parent / served.settings.runtime_dir.name / "k").glob("kernel-*.json"))


def test_a_session_shows_the_board_without_its_source_and_its_kernel_has_none_of_our_secrets(served: Served):
    _, page = served.session("user:1")
    assert "Toy" in page
    assert SECRET not in page
    assert "SECRET_TOKEN" not in page
    if not available():
        assert "got " not in page, "a board's kernel owns nothing"
    assert "jsdelivr" not in page
    assert "cdnjs" not in page


def test_its_page_may_speak_to_nothing_but_its_own_tree(served: Served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    headers = {"Authorization": f"token {served.token}", "X-Workbench-Person": "user:1"}
    connection.request("GET", "/boards/open/toy", headers=headers)
    policy = connection.getresponse().headers["Content-Security-Policy"]
    own = f"127.0.0.1:{served.port}/boards/"
    assert f"connect-src http://{own} https://{own} ws://{own} wss://{own};" in policy
    for closed in ("frame-src 'none'", "form-action 'none'", "worker-src 'none'", "default-src 'none'"):
        assert closed in policy
    assert "allow-popups" not in policy


def test_a_kernel_is_its_holders_alone(served: Served):
    kernel, _ = served.session("user:1")
    path = f"/boards/api/kernels/{kernel}"
    assert served.get(path, "user:1")[0] == 200
    assert served.get(path, "user:2")[0] == 404
    assert served.get(path, "user:1", method="DELETE")[0] == 405
    for person, token in (("user:2", None), ("user:1", "wrong")):
        with pytest.raises(InvalidStatus):
            served.socket(kernel, person, token)


def message(kind: str, content: dict[str, Any], channel: str = "shell") -> str:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "username": "",
        "session": "s",
        "date": "",
        "version": "5.3",
    }
    return json.dumps({"channel": channel, "header": header, "parent_header": {}, "metadata": {}, "content": content})


def hostile(target: Path) -> list[str]:
    code = f"open({str(target)!r}, 'w').write('x')"
    execute = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    text = {"data": {"state": {"_model_module": "@jupyter-widgets/controls", "_model_name": "IntSliderModel"}}}
    return [
        message("execute_request", execute),
        message("execute_request", execute, "control"),
        message("complete_request", {"code": "o", "cursor_pos": 1}),
        message("inspect_request", {"code": "os", "cursor_pos": 1, "detail_level": 0}),
        message("history_request", {"hist_access_type": "tail", "n": 9, "output": True, "raw": True}),
        message("debug_request", {"type": "request", "seq": 1, "command": "initialize"}, "control"),
        message("shutdown_request", {"restart": False}, "control"),
        message("interrupt_request", {}, "control"),
        message("input_reply", {"value": "x"}, "stdin"),
        message("comm_open", {"comm_id": "a", "target_name": "jupyter.widget", **text}),
        message("comm_open", {"comm_id": "b", "target_name": "anything", "data": {}}),
        "not json",
        "{}",
        json.dumps({"channel": "shell", "header": None, "content": 7}),
    ]


def test_a_browser_can_execute_complete_inspect_and_end_nothing(served: Served, tmp_path: Path):
    kernel, _ = served.session("user:1")
    target = tmp_path / "written"
    with served.socket(kernel, "user:1") as socket:
        for text in hostile(target):
            socket.send(text)
        # The kernel answers what is permitted, after all that was sent before: so nothing of that came through.
        socket.send(message("kernel_info_request", {}))
        kinds = set()
        while "kernel_info_reply" not in kinds:
            kinds.add(json.loads(socket.recv(timeout=60))["header"]["msg_type"])
    assert not target.exists()
    assert not kinds & {"execute_reply", "complete_reply", "inspect_reply", "history_reply", "debug_reply",
                        "shutdown_reply", "execute_input", "error"}  # fmt: skip


def test_sessions_are_capped_and_who_waits_follows_when_one_ends(served: Served):
    served.session("user:1")
    second, _ = served.session("user:2")
    with served.socket(served.session("user:1")[0], "user:1"), served.socket(second, "user:2"):
        assert json.loads(served.get("/boards/seat/toy", "user:3")[1]) == {"place": 1, "sessions": 2}
        assert json.loads(served.get("/boards/seat/toy", "user:4")[1])["place"] == 2
    # Their pages are gone: when the time for a reload is over, the next in the queue is let in.
    wait_for(lambda: "address" in served.get("/boards/seat/toy", "user:3")[1])
    assert not json.loads(served.get("/boards/session/toy?seat=x", "user:3")[1])["alive"]


def test_a_session_is_over_when_its_person_may_see_less(served: Served):
    kernel, _ = served.session("user:3")
    engine = state.engine(served.settings)
    path = f"/boards/api/kernels/{kernel}"
    with served.socket(kernel, "user:3"):
        assert served.get(path, "user:3")[0] == 200
        set_rows(engine, "role:viewer", '{synth_domain="arts"}')
        wait_for(lambda: served.get(path, "user:3")[0] == 404)
    engine.dispose()
