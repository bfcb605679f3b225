"""Each role in a browser: opens everything that it may, at both widths, and is refused everything else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import need
from playwright.sync_api import Browser, Page, sync_playwright

from system.conftest import Workbench, wait_for

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
ROLES = ("viewer", "analyst", "operator", "admin")
WIDTHS = (1440, 390)
VIEW, DRILL, LAB, ADMIN = set(ROLES), {"analyst", "operator", "admin"}, {"analyst", "admin"}, {"admin"}

# Written down by hand, from the roles table of the contracts: page, what is drawn when it is ready, who may open it.
PAGES = (
    ("/live/overview", ".uplot canvas", VIEW),
    ("/reports/", "h1", VIEW),
    ("/boards/", "h1", VIEW),
    ("/people/me", "h1", VIEW),
    ("/to/ops/", "main canvas", DRILL),
    ("/to/lab/lab", ".jp-Launcher, .jp-NotebookPanel", LAB),
    ("/people/", "h1", ADMIN),
)
# What changes something, or runs code, by address and method; no body is sent, so nothing happens where it is let in.
ACTS = (
    ("main", "POST", "/people/users/add", ADMIN),
    ("main", "POST", "/api/v1/query", VIEW),
    ("main", "DELETE", "/api/v1/query", set()),
    ("main", "GET", "/api/v1/admin/tsdb/snapshot", set()),
    ("main", "GET", "/lab/", set()),
    ("main", "GET", "/state/state.db", set()),
    ("notebook", "GET", "/lab/api/contents", LAB),
    ("notebook", "POST", "/lab/api/kernels", LAB),
    ("notebook", "POST", "/boards/api/kernels", set()),
    ("notebook", "POST", "/boards/api/sessions", set()),
    ("notebook", "POST", "/boards/api/terminals", set()),
    ("notebook", "POST", "/ops/", set()),
    ("notebook", "GET", "/api/v1/query?query=up", set()),
    ("notebook", "GET", "/live/overview", set()),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need(CHROMIUM.exists(), "Chromium (Debian package `chromium`)")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield made
        made.close()


@pytest.fixture(scope="module", autouse=True)
def users(workbench: Workbench) -> None:
    for role in ROLES:
        workbench.command("user", "add", f"a-{role}", "--role", role)


def link(workbench: Workbench, role: str) -> str:
    return re.search(r"http://\S+/signin#\S+", workbench.command("user", "link", f"a-{role}").stdout).group()


def signed_in(address: str) -> httpx.Client:
    address, _, secret = address.partition("/signin#")
    client = httpx.Client(base_url=address, trust_env=False, timeout=60, follow_redirects=True)
    assert client.post("/signin", data={"link": secret, "next": "/"}, headers={"Origin": address}).status_code == 200
    return client


@pytest.mark.parametrize("role", ROLES)
def test_every_act_is_open_to_its_roles_alone(workbench: Workbench, role: str):
    status = workbench.status()
    origins = {"main": status["url"].rstrip("/"), "notebook": status["notebook_url"].rstrip("/")}
    client = signed_in(link(workbench, role))
    client.get(f"{origins['main']}/to/reports/")  # enter the notebook origin
    for (origin, method, path, roles), foreign in itertools.product(ACTS, (False, True)):
        own = "http://evil.example" if foreign else origins[origin]
        answer = client.request(method, origins[origin] + path, headers={"Origin": own}, follow_redirects=False)
        refused = answer.status_code in (401, 403, 404) if not roles else answer.status_code in (401, 403)
        assert refused == (foreign or role not in roles), (role, origin, method, path, answer.status_code)
    client.close()


@pytest.mark.parametrize(("role", "width"), list(itertools.product(ROLES, WIDTHS)))
def test_every_page_opens_for_its_roles_and_no_other(workbench: Workbench, browser: Browser, role: str, width: int):
    status = workbench.status()
    ours = {status["url"].split("/")[2], status["notebook_url"].split("/")[2]}
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    hosts: set[str] = set()
    context.on("request", lambda sent: sent.url.startswith("http") and hosts.add(sent.url.split("/")[2]))
    page.goto(link(workbench, role))
    page.wait_for_url(lambda url: "/signin" not in url)
    for path, drawn, roles in PAGES:
        answer = page.goto(status["url"].rstrip("/") + path)
        if role not in roles:
            assert answer.status == 403, path
            assert "nothing here is open" in page.inner_text("body").lower(), path
            continue
        page.wait_for_selector(drawn, timeout=90_000, state="attached")
        if "/lab" not in path:  # JupyterLab lays itself out for a desk
            assert fits(page), path
    assert hosts <= ours, "a page asks another host"
    context.close()


def fits(page: Page) -> bool:
    return wait_for(
        lambda: page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
        "nothing sticks out sideways",
    )
