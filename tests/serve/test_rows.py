"""Rows policies: who may see what, felt within a second, at every exit of the main address."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import httpx
import pyarrow as pa
import pytest
import sqlalchemy as sa
import uvicorn

from workbench.errors import InputError
from workbench.query import matchers_text
from workbench.schema import KINDS
from workbench.serve.access.origins import local_origins
from workbench.serve.access.rows import RowsViews, list_rows, remove_rows, rows_of, set_rows
from workbench.serve.front import Front
from workbench.serve.identity.people import Person, create_owner
from workbench.store import Identity, open_view, open_writer, state

HIDDEN, SHOWN = 987_654.25, 123_456.25
OWNER = Person("user:1", "admin")
VIEWER = Person("token:7", "viewer")


def test_policies_of_role_and_user_add_up(engine):
    create_owner(engine)
    set_rows(engine, "role:admin", '{domain=~"arts|science"}')
    set_rows(engine, "user:owner", '{job="a"}')
    assert matchers_text(rows_of(engine, OWNER)) == '{domain=~"arts|science", job="a"}'
    assert rows_of(engine, VIEWER) == ()
    assert list_rows(engine) == [("role:admin", '{domain=~"arts|science"}'), ("user:owner", '{job="a"}')]
    set_rows(engine, "user:owner", '{job="b"}')
    assert remove_rows(engine, "role:admin")
    assert not remove_rows(engine, "role:admin")
    assert matchers_text(rows_of(engine, OWNER)) == '{job="b"}'


@pytest.mark.parametrize(
    ("subject", "matchers"),
    [("role:king", '{a="b"}'), ("user:nobody", '{a="b"}'), ("viewer", '{a="b"}'), ("role:viewer", "{}"),
     ("role:viewer", "up"), ("role:viewer", '{a="b')],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_changes_nothing(engine, subject, matchers):
    with pytest.raises(InputError):
        set_rows(engine, subject, matchers)
    assert list_rows(engine) == []


def test_a_change_is_felt_within_a_second_and_equal_limits_share_a_view(engine, settings):
    now = [0.0]
    views = RowsViews(open_view(settings), engine, monotonic=lambda: now[0])
    before = views.of(VIEWER)
    set_rows(engine, "role:viewer", '{domain="arts"}')
    now[0] += 0.99
    limited = views.of(VIEWER)
    assert matchers_text(limited.matchers) == '{domain="arts"}'
    assert limited.view is not before.view
    assert views.of(Person("user:5", "viewer")) is limited
    assert views.of(OWNER) is before


@pytest.fixture
def front(settings, engine) -> Iterator[Front]:
    """A front over one shown and one hidden series (each with a value that nothing else has), an event and an alert."""
    with open_writer(settings) as writer:
        now_us = time.time_ns() // 1000
        given = [
            (Identity("prometheus", "system_memory_usage_bytes", "gauge", "", "", (), (("domain", domain),)), "", "")
            for domain in ("arts", "secret")
        ]
        ids = writer.register(given, "token:1")
        schema = KINDS["samples"].schema
        times = [now_us - second * 1_000_000 for second in range(5)]
        rows = [
            {"series": id_, "time": at, "type": 0, "value": value}
            for id_, value in zip(ids, (SHOWN, HIDDEN), strict=True)
            for at in times
        ]
        writer.append({"samples": pa.RecordBatch.from_pylist(rows, schema=schema)}).result()
        with engine.begin() as connection:
            for domain in ("arts", "secret"):
                labels = {"alertname": f"Full {domain}", "domain": domain}
                row = {"fingerprint": domain, "rule": "r", "state": "firing", "labels": labels, "annotations": {},
                       "value": HIDDEN, "active_us": now_us}  # fmt: skip
                connection.execute(sa.insert(state.alert_states).values(row))
            labels = {"alertname": "All of secret"}
            row = {**row, "fingerprint": "sum", "labels": labels}
            connection.execute(sa.insert(state.alert_states).values(row))
        set_rows(engine, "role:viewer", '{domain="arts"}')
        view = open_view(settings)
        yield Front(settings, view, engine)
        view.close()


@pytest.fixture
def asked_by(front: Front) -> Iterator[Callable[[Person], httpx.Client]]:
    """Clients of the routes behind a real server that takes the person from the client, as the gate would hand it."""
    app, people = front.app(local_origins(8765, 8766)), {"viewer": VIEWER, "admin": OWNER}

    async def passed(scope, receive, send):
        role = dict(scope.get("headers", ())).get(b"x-role", b"").decode()
        await app({**scope, "state": {"person": people.get(role)}}, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(passed, log_level="critical", timeout_graceful_shutdown=0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    with ExitStack() as clients:
        yield lambda person: clients.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", headers={"x-role": person.role}, timeout=30
            )
        )
    server.should_exit = True
    thread.join(20)
    listener.close()


QUERIES = ['{__name__=~".+"}', "sum(system_memory_usage_bytes)", "absent(system_memory_usage_bytes)",
           "count by (domain) (system_memory_usage_bytes)", "system_memory_usage_bytes or vector(1)"]  # fmt: skip
STATEMENTS = ["SELECT * FROM measurements", "SELECT * FROM metrics", "SELECT * FROM samples", "SELECT * FROM series",
              "SELECT labels, sum(value) FROM measurements GROUP BY ALL", "SELECT * FROM alerts"]  # fmt: skip
PATHS = ["/live/overview?wait=1", "/live/overview/data", "/reports/", "/api/v1/labels", "/api/v1/metadata",
         "/api/v1/label/domain/values", '/api/v1/series?match[]={__name__=~".%2B"}']  # fmt: skip


def test_nothing_hidden_leaves_by_any_exit(asked_by):
    limited, owner = asked_by(VIEWER), asked_by(OWNER)
    seen = ""
    for client in (limited, owner):
        texts = [client.get(path).text for path in PATHS]
        for query in QUERIES:
            window = {"start": time.time() - 10, "end": time.time(), "step": 5}
            texts += [client.post(f"/api/v1/{kind}", data={"query": query, **window}).text
                      for kind in ("query", "query_range")]  # fmt: skip
        texts += [client.post("/api/v1/sql", data={"query": statement}).text for statement in STATEMENTS]
        with client.stream("GET", "/live/overview/stream") as stream:
            lines = stream.iter_lines()
            texts.append(next(line for line in lines if line.startswith("data: ") and "tiles" in line))
        text = "\n".join(texts)
        if client is limited:
            assert "secret" not in text
            assert "987654" not in text
            assert str(round(SHOWN + HIDDEN)) not in text
            assert "Full arts" in text
            assert "You see the rows that meet {domain=" in text
            assert '"123456.25"' in text
        seen = text
    # The owner sees what was looked for, so it could have been found.
    assert "Full secret" in seen
    assert "987654" in seen


def test_viewers_with_the_same_rows_share_one_evaluation(front):
    def context_of(person: Person) -> object:
        return front.context_of(SimpleNamespace(state=SimpleNamespace(person=person)))

    assert context_of(VIEWER) is context_of(Person("user:9", "viewer"))
    assert context_of(VIEWER) is not context_of(OWNER)


def test_what_a_failing_rule_says_is_for_those_with_all_rows(front, asked_by):
    front.hub_seen(True, ['rule X: found duplicate series {domain="secret"}'])
    page = asked_by(VIEWER).get("/live/overview?wait=1").text
    assert "secret" not in page
    assert "A rule fails" in page
    assert "rule X" in asked_by(OWNER).get("/live/overview?wait=1").text


def test_metrics_of_the_hub_are_for_those_with_all_rows(asked_by):
    assert asked_by(VIEWER).get("/metrics").status_code == 403
    assert asked_by(OWNER).get("/metrics").status_code == 503  # allowed; there is no hub here


def test_windows_of_hidden_series_are_not_asked_for(asked_by):
    path = '/api/v1/windows?match[]=system_memory_usage_bytes{domain="secret"}'
    assert asked_by(VIEWER).get(path).json() == {"status": "success", "data": []}
    assert asked_by(OWNER).get(path).status_code == 503


def test_an_open_stream_ends_when_the_rows_change(asked_by, engine):
    with asked_by(VIEWER).stream("GET", "/live/overview/stream") as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("event: tick"))
        set_rows(engine, "role:viewer", '{domain="none"}')
        assert sum(line.startswith("event: tick") for line in lines) < 10  # it came to its end
