"""Signing in and out, as a browser without scripts does it (the script only fills in and sends the same form)."""

from __future__ import annotations

import re

import pytest

from workbench.serve.identity import people
from workbench.serve.identity.signin import PAGE, local_path

from .conftest import ORIGIN

FORM = {"Origin": ORIGIN, "Accept": "text/html"}


@pytest.fixture
def secret(guarded):
    return people.create_link(guarded.engine, people.create_owner(guarded.engine))


def test_a_link_signs_in_once(guarded, secret):
    first = guarded.request("POST", "/signin", FORM, data={"link": secret, "next": "/live/overview?range=1h"})
    assert first.status_code == 303
    assert first.headers["location"] == "/live/overview?range=1h"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/;" in cookie
    assert "Max-Age=2592000" in cookie
    assert secret not in cookie
    name, value = re.match(r"([^=]+)=([^;]+)", cookie).groups()
    assert guarded.request("GET", "/", {"Cookie": f"{name}={value}"}).json() == {"role": "admin"}
    second = guarded.request("POST", "/signin", FORM, data={"link": secret})
    assert second.status_code == 401
    assert "set-cookie" not in second.headers
    assert "workbench open" in second.text


def test_the_whole_link_may_be_pasted(guarded, secret):
    pasted = f"  {ORIGIN}/signin#{secret} "
    assert guarded.request("POST", "/signin", FORM, data={"link": pasted}).status_code == 303


def test_signing_in_from_a_foreign_page_is_refused(guarded, secret):
    for origin in ("http://evil.example", "null"):
        answer = guarded.request("POST", "/signin", {**FORM, "Origin": origin}, data={"link": secret})
        assert answer.status_code == 403
    assert guarded.request("POST", "/signin", FORM, data={"link": secret}).status_code == 303


@pytest.mark.parametrize("body", [b"", b"link=", b"link=nonsense", b"\xff\xfe=%zz", b"next=/", b"a" * 5000])
def test_a_form_that_is_wrong_gets_the_page_again(guarded, body):
    answer = guarded.request("POST", "/signin", FORM, content=body)
    assert answer.status_code == 401
    assert "<form" in answer.text


def test_a_form_that_is_huge_is_refused(guarded):
    assert guarded.request("POST", "/signin", FORM, content=b"link=" + b"a" * 100_000).status_code == 413


def test_signing_out_ends_the_session_at_once(guarded, secret):
    cookie = guarded.request("POST", "/signin", FORM, data={"link": secret}).headers["set-cookie"].split(";")[0]
    assert guarded.request("GET", "/", {"Cookie": cookie}).status_code == 200
    # Only our own page may do it.
    assert guarded.request("POST", "/signout", {"Cookie": cookie}).status_code == 403
    assert guarded.request("POST", "/signout", {"Cookie": cookie, "Origin": "http://evil.example"}).status_code == 403
    out = guarded.request("POST", "/signout", {"Cookie": cookie, "Origin": ORIGIN})
    assert out.status_code == 303
    assert out.headers["location"] == "/signin"
    assert "cache" in out.headers["clear-site-data"]
    assert guarded.request("GET", "/", {"Cookie": cookie}).status_code == 401


def test_the_page_needs_nothing_inline_and_nothing_foreign(guarded):
    page = guarded.request("GET", "/signin", {"Accept": "text/html"})
    assert page.status_code == 200
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert not re.search(r"<script(?![^>]* src=)", page.text)
    assert not re.search(r"\son\w+=", page.text)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert address.startswith(("/signin/", "data:,")), address
        if address.startswith("/"):
            assert guarded.request("GET", address).status_code == 200, address
    assert "{{" not in page.text
    assert guarded.request("GET", "/signin/../people.py").status_code in (401, 403)


def test_what_was_asked_for_is_shown_as_text(guarded):
    answer = guarded.request("GET", '/live/"><script>alert(1)</script>', {"Accept": "text/html"})
    assert answer.status_code == 401
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    ("target", "place"),
    [("/live/overview", "/live/overview"), ("//evil.example", "/"), ("https://evil.example", "/"),
     ("/\\evil.example", "/"), ("", "/"), ("live", "/"), ("/a\nb", "/"), ("javascript:alert(1)", "/")],
)  # fmt: skip
def test_people_land_on_this_address_only(target, place):
    assert local_path(target) == place


def test_the_secret_is_taken_out_of_the_address_before_it_is_sent():
    script = (PAGE / "signin.js").read_text()
    assert script.index("replaceState") < script.index("submit()")
