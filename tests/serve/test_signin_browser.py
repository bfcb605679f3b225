"""The sign-in page in a real browser: the link signs in, and its secret leaves no trace."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from workbench.serve.access import policy
from workbench.serve.access.gate import Address, Gate
from workbench.serve.access.origins import local_origins
from workbench.serve.identity import people
from workbench.serve.identity.signin import SignIn
from workbench.serve.running import browser

PAGE = """<!doctype html><title>In</title><link rel="icon" href="data:,"><h1>In</h1>
<form method="post" action="/signout"><button>Out</button></form>"""


@pytest.fixture
def site(engine):
    """(address, request targets with their Referer) of a gate on a real port, before a page with one link."""
    seen: list[str] = []

    async def page(_):
        return HTMLResponse(PAGE)

    async def logged(scope, receive, send):
        seen.append(repr((scope["path"], scope["query_string"], scope["headers"])))
        await gate(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    resolver = people.Resolver(engine)
    app = Starlette(routes=[Route("/", page), Route("/live/{name}", page)])
    origins = local_origins(port, 1)
    address = Address(hosts=origins.main_hosts, rules=policy.MAIN, session=resolver.session)
    gate = Gate(app, resolver, address, SignIn(engine, resolver, origins))
    server = uvicorn.Server(uvicorn.Config(logged, lifespan="off", log_config=None, proxy_headers=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield f"http://127.0.0.1:{port}", seen
    server.should_exit = True
    thread.join(timeout=30)


@pytest.fixture
def link(engine, site):
    return f"{site[0]}/signin#{people.create_link(engine, people.create_owner(engine))}"


def test_the_link_signs_in_and_leaves_no_trace(site, page, link):
    address, seen = site
    page.goto(link)
    page.wait_for_url(f"{address}/")
    assert page.title() == "In"
    assert page.faults == []
    secret = link.partition("#")[2]
    assert not any(secret in request for request in seen)
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    page.go_back()
    assert secret not in page.url
    page.goto(f"{address}/")
    page.click("button")  # our own form may sign out: its Origin is ours
    page.wait_for_url(f"{address}/signin")
    page.goto(f"{address}/")
    assert "workbench open" in page.content()


def test_the_file_that_the_browser_is_given_leads_there(site, page, link, tmp_path, monkeypatch):
    given = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(browser.webbrowser, "open", lambda url: given.append(url) or True)
    assert browser.show(tmp_path, link)
    (url,) = given
    assert url.startswith("file://")
    assert link.partition("#")[2] not in url
    assert (tmp_path / "open.html").stat().st_mode & 0o077 == 0
    page.goto(url)
    page.wait_for_url(f"{site[0]}/")
    assert page.title() == "In"


@pytest.mark.parametrize("width", [320, 390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_can_be_used_with_the_keyboard(site, page, link, width, scheme):
    address, _ = site
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{address}/live/overview")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_label("Sign-in link").bounding_box()["height"] >= 44
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "link"
    page.keyboard.type(link)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="In", exact=True).wait_for()
    assert page.url == f"{address}/live/overview"


def test_a_link_that_was_used_says_so(site, page, link):
    page.goto(link)
    page.wait_for_url(f"{site[0]}/")
    page.context.clear_cookies()
    page.goto("about:blank")
    page.goto(link)
    page.get_by_text("was used already").wait_for()
