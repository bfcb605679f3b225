"""Who may come in: the doors as a stranger, a web page, a wrong token and each role find them."""

from __future__ import annotations

import json

import pytest

from system.conftest import Workbench, request

EMPTY = b""
PROTOBUF = {"Content-Type": "application/x-protobuf"}
EVENT = json.dumps({"specversion": "1.0", "id": "1", "source": "/test", "type": "test"}).encode()


def ingest(workbench: Workbench, path: str, **arguments) -> int:
    return request(workbench.status()["ingest_url"].rstrip("/") + path, method="POST", **arguments)[0]


def test_a_default_sdk_on_this_machine_needs_no_token(workbench: Workbench):
    assert ingest(workbench, "/v1/metrics", body=EMPTY, headers=PROTOBUF) == 200


def test_everything_else_needs_one(workbench: Workbench):
    assert ingest(workbench, "/api/v1/write", body=EMPTY, headers=PROTOBUF) == 401
    assert ingest(workbench, "/events", body=EVENT, headers={"Content-Type": "application/cloudevents+json"}) == 401
    assert ingest(workbench, "/nowhere", body=EMPTY, headers=PROTOBUF) in {401, 404}


def test_a_wrong_token_is_never_anonymous(workbench: Workbench):
    assert ingest(workbench, "/v1/metrics", body=EMPTY, headers=PROTOBUF, token="wrong") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "evil.example"},
        {"Host": "evil.example:4318"},
    ],
    ids=str,
)
def test_a_web_page_cannot_write(workbench: Workbench, headers: dict[str, str]):
    token = workbench.token("ingest")
    assert ingest(workbench, "/v1/metrics", body=EMPTY, headers=PROTOBUF | headers) == 403
    assert ingest(workbench, "/v1/metrics", body=EMPTY, headers=PROTOBUF | headers, token=token) == 403


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_other_media_types_are_refused(workbench: Workbench, media: str):
    token = workbench.token("ingest")
    for path in ("/v1/metrics", "/api/v1/write", "/events"):
        assert ingest(workbench, path, body=b"x", headers={"Content-Type": media}, token=token) == 415


def test_media_type_parameters_are_ignored(workbench: Workbench):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert ingest(workbench, "/v1/metrics", body=b"{}", headers=headers) == 200


@pytest.mark.parametrize("role", ["viewer", "analyst", "operator"])
def test_who_reads_cannot_write(workbench: Workbench, role: str):
    assert ingest(workbench, "/v1/metrics", body=EMPTY, headers=PROTOBUF, token=workbench.token(role)) == 403


def test_an_ingest_token_can_read_nothing(workbench: Workbench):
    token = workbench.token("ingest")
    for path in ("/", "/live/overview", "/reports/", "/api/v1/query?query=1", "/metrics"):
        assert workbench.get(path, token=token)[0] == 403, path


def test_a_stranger_gets_the_sign_in_page_and_nothing_else(workbench: Workbench):
    assert workbench.get("/healthz", token=None)[0] == 200
    assert workbench.get("/readyz", token=None)[0] == 200
    status, page = workbench.get("/", token=None, headers={"Accept": "text/html"})
    assert status == 401
    assert b"workbench open" in page
    for path in ("/live/overview", "/live/overview/data", "/reports/", "/api/v1/query?query=1", "/metrics", "/nowhere"):
        status, body = workbench.get(path, token=None)
        assert status == 401, path
        assert b"system_cpu" not in body


def test_a_viewer_reads_and_writes_nothing(workbench: Workbench):
    token = workbench.token("viewer")
    assert workbench.get("/live/overview", token=token)[0] == 200
    assert workbench.get("/api/v1/query?query=1", token=token)[0] == 200
    url = workbench.status()["url"].rstrip("/")
    for path in ("/", "/live/overview", "/reports/", "/api/v1/admin/tsdb/delete_series", "/nowhere"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert request(url + path, method=method, body=b"x", token=token)[0] in {403, 404, 405}, (method, path)


def test_a_revoked_token_is_refused_within_a_second(workbench: Workbench):
    from system.conftest import wait_for

    made = workbench.command("token", "create", "--role", "viewer", "--name", "leaver").stdout.strip().splitlines()[-1]
    assert workbench.get("/api/v1/query?query=1", token=made)[0] == 200
    listed = workbench.command("token", "list").stdout
    number = next(line.split()[0] for line in listed.splitlines() if "leaver" in line)
    workbench.command("token", "revoke", number)
    wait_for(lambda: workbench.get("/api/v1/query?query=1", token=made)[0] == 401, "the token is refused", 2)


def test_the_notebook_origin_denies_by_default(workbench: Workbench):
    url = workbench.status()["notebook_url"].rstrip("/")
    assert request(url + "/", token=workbench.token("admin"))[0] in {401, 403, 404}
    assert request(url + "/")[0] in {401, 403, 404}
