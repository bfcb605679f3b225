"""SQL on the main address: forms, methods, who may read what, and a client that goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from workbench.config import Query
from workbench.serve.access import policy
from workbench.serve.access.versions import Versions
from workbench.serve.identity.people import Person
from workbench.serve.pages.sql_api import sql_routes
from workbench.store import open_view


@pytest.fixture
def app(settings):
    """The route as the gate hands requests on, for a person of the role in the header `role`."""
    view = open_view(settings)
    routes = Starlette(routes=sql_routes(lambda _: view, Versions(settings), Query(timeout_seconds=30)))

    async def gated(scope, receive, send):
        if scope["type"] == "http":
            role = dict(scope["headers"]).get(b"role", b"viewer").decode()
            scope["state"] = {"person": Person("user:1", role)}
        await routes(scope, receive, send)

    yield gated
    view.close()


def ask(app, method: str = "GET", address: str = "/api/v1/sql", **options: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.request(method, address, **options)

    return asyncio.run(asked())


def test_every_role_may_ask_by_get_and_by_form(app):
    for answer in (
        ask(app, params={"query": "SELECT 1 AS one"}),
        ask(app, "POST", data={"query": "SELECT 1 AS one"}),
        ask(app, "POST", "/api/v1/sql?query=nonsense", data={"query": "SELECT 1 AS one"}),
    ):
        assert answer.json()["data"]["rows"] == [[1]]
    for role in policy.VIEWERS:
        for method in ("GET", "POST"):
            assert policy.allowed(policy.MAIN, role, method, "/api/v1/sql")
    assert not policy.allowed(policy.MAIN, "ingest", "GET", "/api/v1/sql")
    assert ask(app, "PUT").status_code == 405


def test_the_form_of_the_answer_is_that_which_is_accepted(app):
    asked = {"query": "SELECT 1 AS one"}
    assert ask(app, params=asked, headers={"accept": "text/csv"}).text == '"one"\n1\n'
    arrow = ask(app, params=asked, headers={"accept": "application/vnd.apache.arrow.stream"})
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == [{"one": 1}]


@pytest.mark.parametrize(("role", "status"), [("viewer", 400), ("analyst", 400), ("operator", 400), ("admin", 200)])
def test_the_audit_is_for_admins(app, role, status):
    answer = ask(app, params={"query": "SELECT * FROM audit"}, headers={"role": role})
    assert answer.status_code == status


def test_a_client_that_goes_away_ends_its_statement(app):
    async def leave() -> dict:
        scope = {
            "type": "http", "method": "GET", "path": "/api/v1/sql", "raw_path": b"/api/v1/sql", "headers": [],
            "query_string": b"query=SELECT sum(a.range*b.range) FROM range(10000000) a, range(1000000) b",
        }  # fmt: skip
        sent: list[dict] = []

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        return sent[0]

    assert asyncio.run(leave())["status"] == 422
