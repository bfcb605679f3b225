"""Writing from another process: through the hub's socket, or with the lock."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from workbench.config import Settings, ensure_private_dir
from workbench.errors import Busy, InputError, LakeLocked, StoreError
from workbench.store import Identity, RemoteWriter, Writer, answer, attach, open_writer

from .conftest import NOW_US, event_batch, found, identity, sample_batch, with_settings


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, content = answer(self.server.writer, self.path, body)  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass

    def address_string(self) -> str:
        return "local"


@pytest.fixture
def short_runtime_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder short enough for the path of a socket."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="wb", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def hub(settings: Settings, short_runtime_dir: Path) -> Iterator[Writer]:
    """A writer behind the hub's socket."""
    ensure_private_dir(settings.runtime_dir)
    with open_writer(with_settings(settings, ingest={"max_series": 5})) as writer:
        server = ThreadingUnixStreamServer(str(settings.hub_socket), Handler)
        server.writer = writer  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield writer
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            settings.hub_socket.unlink()


def test_a_running_hub_writes_for_us(hub: Writer, settings: Settings) -> None:
    bucket = Identity(
        "otel", "h", "histogram", "s", "cumulative", (("service.name", "x"),), (("k", "v"),), "bucket", math.inf
    )
    with attach(settings) as remote:
        assert isinstance(remote, RemoteWriter)
        ids = remote.register([(bucket, "help", "scope"), (identity("ä"), "", "")], "import:f.csv")
        assert hub.view.registry.get(ids[0]).identity == bucket
        assert hub.view.registry.get(ids[0]).source == "import:f.csv"
        position = remote.append({"samples": sample_batch(ids, [NOW_US] * 2, [1.0, 2.0])}).result(30)
        assert position.segment == 1
        assert remote.seal() == hub.view.lake_version != ""
        step = {"events": event_batch(["e"], [NOW_US])}
        assert [remote.load("l", 1, step), remote.load("l", 1, step)] == [True, False]
    assert found(hub.view, ids) == {ids[0]: [(NOW_US, 1.0)], ids[1]: [(NOW_US, 2.0)]}
    assert hub.view.table("events").num_rows == 1


def test_errors_are_those_of_the_hub(hub: Writer, settings: Settings) -> None:
    with attach(settings) as remote:
        with pytest.raises(InputError, match="not registered"):
            remote.append({"samples": sample_batch([99], [NOW_US], [1.0])}).result(30)
        with pytest.raises(Busy, match="over 5 series"):
            remote.register([(identity(str(i)), "", "") for i in range(6)], "import:x")


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("/append", b"junk", 400),
        ("/append", b"", 400),
        ("/register", b"{}", 400),
        ("/register", b'{"source": "x", "new": [[["a"], "", ""]]}', 400),
        ("/load?load=x", b"", 400),
        ("/load?load=x&number=one", b"", 400),
        ("/else", b"", 400),
    ],
)
def test_bad_requests_are_answered(hub: Writer, target: str, body: bytes, status: int) -> None:
    assert answer(hub, target, body)[0] == status


def test_without_a_hub_we_take_the_lock(settings: Settings, short_runtime_dir: Path) -> None:
    with attach(settings) as writer:
        assert isinstance(writer, Writer)
        with pytest.raises(LakeLocked):
            attach(settings, wait_seconds=0.0)


def test_a_hub_that_ends_under_us_is_told(settings: Settings, short_runtime_dir: Path) -> None:
    with pytest.raises(StoreError, match="does not answer"):
        RemoteWriter(settings).seal()
