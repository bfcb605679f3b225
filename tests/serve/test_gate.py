"""The gate, as data: role x path x method, by cookie and by token, over HTTP and over a websocket."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.serve.access import policy
from workbench.serve.identity import people

from .conftest import HOST, ORIGIN, PORT

PEOPLE = ("viewer", "analyst", "operator", "admin")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# Written down by hand, from the contracts: what each role of a person may do today.
PAGES = ("/", "/data-quality/", "/data-quality/rows",
         "/live/overview", "/live/overview/data", "/live/overview/stream", "/boards/", "/boards/executive",
         "/reports/", "/reports/7/index.html",
         "/static/app.js", "/to/lab/tree", "/favicon.ico", "/metrics", "/api/v1/label/job/values", "/api/v1/metadata",
         "/api/v1/windows", "/federate", "/api/v1/rules", "/api/v1/alerts", "/api/v1/alertmanagers",
         "/api/v1/status/buildinfo", "/api/v1/status/runtimeinfo", "/api/v1/status/flags", "/api/v1/status/config",
         "/api/v1/status/tsdb")  # fmt: skip
QUERIES = ("/api/v1/query", "/api/v1/query_range", "/api/v1/labels", "/api/v1/series", "/api/v1/format_query",
           "/api/v1/sql", "/api/v1/parse_query", "/api/v1/query_exemplars", "/api/v1/read")  # fmt: skip
PEOPLE_PAGES = ("/people/", "/people/add", "/people/7/role", "/people/7/disable", "/people/tokens/create")
OWN_PAGES = ("/people/me", "/people/people.css", "/jobs/jobs.css", "/targets/targets.css")
TARGET_PAGES = ("/targets/", "/storage/", "/api/v1/targets")
DRILL_PAGES = ("/cardinality/",)
OWN_FORMS = ("/people/me/password", "/people/me/sign-out", "/people/me/link")
JOB_PAGES = ("/jobs/", "/jobs/daily_report", "/jobs/daily_report/run", "/jobs/publications/3/approve")
PUBLISH_PAGES = ("/publish/", "/publish/3", "/publish/3/undo")
KNOWN = (
    *TARGET_PAGES,
    *DRILL_PAGES,
    *JOB_PAGES,
    *PUBLISH_PAGES,
    *PAGES,
    *QUERIES,
    *PEOPLE_PAGES,
    *OWN_PAGES,
    *OWN_FORMS,
)
CLOSED = ("/lab", "/lab/tree", "/voila/", "/ops/", "/admin", "/api/v1/admin/tsdb/delete_series", "/api/v1", "/api/",
          "/LIVE/overview", "/live", "/users", "/tokens", "/alerts", "/v1/metrics", "/events", "/metricsx")  # fmt: skip


def expected(role: str, path: str, method: str) -> bool:
    if role not in PEOPLE:
        return False
    if path in PUBLISH_PAGES:
        return role in ("analyst", "admin") and method in ("GET", "HEAD", "POST")
    if path in TARGET_PAGES:
        return role in ("operator", "admin") and method in ("GET", "HEAD")
    if path in DRILL_PAGES:
        return role != "viewer" and method in ("GET", "HEAD")
    if path.startswith("/jobs/") and role in ("operator", "admin"):
        return method in ("GET", "HEAD", "POST")
    if role == "admin" and path.startswith("/people/"):
        return method in ("GET", "HEAD", "POST")
    if method == "POST":
        return path in QUERIES + OWN_FORMS
    return method in ("GET", "HEAD") and path in PAGES + QUERIES + OWN_PAGES


@pytest.mark.parametrize("path", [*KNOWN, *CLOSED])
def test_table_by_cookie_and_token(guarded, path):
    for role, method in itertools.product(people.ROLES, METHODS):
        for headers in ({**guarded.as_cookie(role), "Origin": ORIGIN}, guarded.as_token(role)):
            guarded.passed.clear()
            status = guarded.request(method, path, headers).status_code
            may = expected(role, path, method)
            assert status == (200 if may else 403), (role, method, path, list(headers))
            assert [(m, p) for m, p, _ in guarded.passed] == ([(method, path)] if may else [])
            if may:
                assert guarded.passed[0][2].role == role


def test_every_rule_of_the_policy_stands_in_the_tables_above():
    for rule in policy.MAIN:
        known = [path for path in KNOWN if rule.covers(path)]
        assert known, rule
        assert "ingest" not in rule.roles


@pytest.mark.parametrize("path", [*KNOWN, *CLOSED])
def test_nobody_gets_nothing(guarded, path):
    guarded.passed.clear()
    for method in METHODS:
        assert guarded.request(method, path, {"Origin": ORIGIN}).status_code == 401
    assert guarded.websocket(path, {"Origin": ORIGIN}) == 4401
    assert guarded.passed == []


@pytest.mark.parametrize("role", people.ROLES)
def test_websockets_are_denied_until_a_rule_names_them(guarded, role):
    guarded.passed.clear()
    for path in (*KNOWN, *CLOSED):
        assert guarded.websocket(path, {**guarded.as_cookie(role), "Origin": ORIGIN}) == 4403
    assert guarded.passed == []


def test_a_websocket_that_a_rule_names_needs_our_origin(guarded, monkeypatch):
    rules = (policy.Rule("/ws", frozenset({"WEBSOCKET"}), policy.VIEWERS),)
    monkeypatch.setattr(guarded.gate, "_rules", rules)
    cookie = guarded.as_cookie("viewer")
    assert guarded.websocket("/ws", {**cookie, "Origin": ORIGIN}) == 0
    assert guarded.websocket("/ws", cookie) == 4403
    assert guarded.websocket("/ws", {**cookie, "Origin": "http://evil.example"}) == 4403
    assert guarded.websocket("/ws", {**cookie, "Origin": f"https://{HOST}"}) == 4403
    assert guarded.websocket("/ws", {**cookie, "Origin": ORIGIN, "Host": "evil.example"}) == 4403
    assert guarded.websocket("/ws", guarded.as_token("viewer")) == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/-/healthy", "/-/ready"])
def test_open_paths_read_only(guarded, path):
    assert guarded.request("GET", path).status_code == 200
    assert guarded.request("POST", path).status_code == 401


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"127.0.0.1:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
def test_our_hosts(guarded, host):
    assert guarded.request("GET", "/", {**guarded.as_cookie("viewer"), "Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "localhost", "127.0.0.1", "localhost:1", f"localhost:{PORT}.evil.example",
     f"localhost.evil.example:{PORT}", f"127.0.0.1:{PORT}@evil.example", f" localhost:{PORT}/", ""],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/healthz", "/signin", "/api/v1/query"])
def test_other_hosts_are_refused_everywhere(guarded, host, path):
    guarded.passed.clear()
    answer = guarded.request("GET", path, {**guarded.as_cookie("admin"), "Host": host})
    assert answer.status_code == 403
    assert guarded.passed == []


def test_two_hosts_are_refused(guarded):
    headers = [("Host", HOST), ("Host", HOST), ("Authorization", f"Bearer {guarded.tokens['admin']}")]
    assert guarded.request("GET", "/", headers).status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", f"https://{HOST}", f"http://localhost:{PORT}", "", "http://127.0.0.1:8766"],
)
def test_another_origin_is_refused(guarded, origin):
    guarded.passed.clear()
    for identity in (guarded.as_cookie("admin"), guarded.as_token("admin")):
        for method in ("GET", "POST"):
            headers = {**identity, "Origin": origin}
            assert guarded.request(method, "/api/v1/query", headers).status_code == 403
    assert guarded.passed == []


def test_an_unsafe_method_by_cookie_must_name_its_origin(guarded):
    assert guarded.request("POST", "/api/v1/query", guarded.as_cookie("viewer")).status_code == 403
    assert guarded.request("POST", "/api/v1/query", guarded.as_token("viewer")).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["//", "//live/overview", "/live//overview", "/live/../api/v1/query", "/live/./overview", "/live/%2e%2e/lab",
     "/live/..%2flab", "/live/%2Foverview", "/live/..\\lab", "/live/%5c..%5clab", "/live/%00", "/live/.."],
)  # fmt: skip
def test_a_path_that_can_be_read_twice_is_refused(guarded, path):
    guarded.passed.clear()
    headers = [(b"host", HOST.encode()), (b"authorization", f"Bearer {guarded.tokens['admin']}".encode())]
    # Straight into the gate: a client library would tidy the path before it sends it.
    import asyncio
    from urllib.parse import unquote

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "scheme": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(),
             "query_string": b"", "headers": headers}  # fmt: skip
    asyncio.run(guarded.gate(scope, None, send))
    assert sent[0]["status"] == 403
    assert guarded.passed == []


@given(st.text(st.sampled_from("/.lab%2feLIVE\\\0 "), max_size=20))
def test_a_clean_path_has_one_reading(tail):
    path = "/" + tail
    if policy.clean(path, path.encode()):
        segments = path.split("/")[1:]
        assert "" not in segments[:-1]
        assert not {".", ".."} & set(segments)
        assert "\\" not in path
        assert "%2f" not in path.lower()


def test_credentials_that_are_wrong(guarded):
    viewer = guarded.tokens["viewer"]
    for value in ("Bearer nonsense", f"Basic {viewer}", f"Bearer {viewer}x", "Bearer", "", viewer):
        answer = guarded.request("GET", "/api/v1/query", {"Authorization": value, **guarded.as_cookie("admin")})
        assert answer.status_code == 401, value
        assert answer.json()["error"] == "SignInRequired"
    assert guarded.request("GET", "/", {"Cookie": f"{guarded.cookie_name}=nonsense"}).status_code == 401
    # A session is no token, and a token no session.
    assert guarded.request("GET", "/", {"Authorization": f"Bearer {guarded.cookies['admin']}"}).status_code == 401
    assert guarded.request("GET", "/", {"Cookie": f"{guarded.cookie_name}={viewer}"}).status_code == 401


def test_every_answer_carries_the_headers_of_the_house(guarded):
    for path, headers in (
        ("/", guarded.as_cookie("viewer")),
        ("/", {}),
        ("/lab", guarded.as_cookie("admin")),
        ("/healthz", {}),
    ):
        found = guarded.request("GET", path, headers).headers
        policy_text = found["content-security-policy"]
        assert "default-src 'self'" in policy_text
        assert "frame-ancestors 'none'" in policy_text
        assert "unsafe-inline" not in policy_text
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] == "same-origin"
        assert found["cross-origin-opener-policy"] == "same-origin"
        assert found["cross-origin-resource-policy"] == "same-origin"
        assert found["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in found
        assert found["x-request-id"]


def test_errors_are_json_for_programs_and_a_page_for_people(guarded):
    asked = guarded.request("GET", "/live/overview?range=1h", {"Accept": "text/html,*/*"})
    assert asked.status_code == 401
    assert asked.headers["content-type"].startswith("text/html")
    assert "workbench open" in asked.text
    assert 'value="/live/overview?range=1h"' in asked.text
    refused = guarded.request("GET", "/lab", {"Accept": "text/html", **guarded.as_cookie("viewer")})
    assert refused.status_code == 403
    assert "the role viewer" in refused.text
    assert "<form" not in refused.text
    program = guarded.request("GET", "/api/v1/query", {"Accept": "text/html,*/*"})
    assert set(program.json()) == {"error", "message", "where", "hint"}
    assert program.headers["www-authenticate"] == "Bearer"


def test_a_token_may_be_the_password_of_who_knows_only_addresses(guarded):
    def basic(text: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

    token = guarded.tokens["viewer"]
    assert guarded.request("GET", "/api/v1/query", basic(f"token:{token}")).status_code == 200
    for text in (token, f"{token}:", f"token:{token}x", "token:"):
        answer = guarded.request("GET", "/api/v1/query", basic(text))
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
