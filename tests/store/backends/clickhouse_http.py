"""ClickHouse's HTTP interface over the engine in this process, as far as a client needs it to read and write.

The engine is ClickHouse's own; only the door is ours, by "HTTP Interface" of its documentation: the statement in the
body or, where the body holds data, in `query`; settings as parameters; errors with their code in a header.
"""

from __future__ import annotations

import re
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import chdb

_NO_SETTINGS = {
    "query", "database", "default_format", "session_id", "query_id", "compress", "wait_end_of_query", "user",
    "password", "client_protocol_version", "role", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "enable_http_compression", "cancel_http_readonly_queries_on_client_close",
}  # fmt: skip


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connection_: chdb.Connection

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query))
        if urlsplit(self.path).path == "/ping":
            return self._send(200, b"Ok.\n")
        text = given.get("query") or body.decode()
        form = re.search(r"\bFORMAT\s+(\w+)\s*;?\s*$", text, re.IGNORECASE)
        try:
            if given.get("database"):
                self.connection_.query(f"USE `{given['database']}`")
            if given.get("query") and body:
                with tempfile.NamedTemporaryFile() as data:
                    data.write(body)
                    data.flush()
                    target = text[: form.start()].rstrip().removesuffix("VALUES")
                    found = self.connection_.query(f"{target} FROM INFILE '{data.name}' FORMAT {form[1]}")
            else:
                bare = text[: form.start()] if form else text
                pairs = [f"{name} = {_literal(value)}" for name, value in given.items() if name not in _NO_SETTINGS]
                if pairs and re.match(r"\s*(SELECT|WITH)\b", bare, re.IGNORECASE):
                    bare += f" SETTINGS {', '.join(pairs)}"
                shape = form[1] if form else given.get("default_format", "TabSeparated")
                found = self.connection_.query(bare, shape)
        except Exception as error:
            code = re.search(r"Code: (\d+)", str(error))
            return self._send(400, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1"})
        return self._send(200, found.bytes())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": "{}", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _literal(value: str) -> str:
    return value if value.isdecimal() else "'" + value.replace("'", "\\'") + "'"


if __name__ == "__main__":
    Door.connection_ = chdb.connect(str(Path(sys.argv[2])))
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Door).serve_forever()
