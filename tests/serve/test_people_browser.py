"""The pages about people in a real browser: from invite to password, on a phone, without scripts, as axe sees it."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
import uvicorn
from conftest import need
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from workbench.errors import ConfigError
from workbench.serve.access import policy
from workbench.serve.access.gate import Address, Gate
from workbench.serve.access.origins import local_origins
from workbench.serve.identity import people, users
from workbench.serve.identity.people import Resolver
from workbench.serve.identity.signin import SignIn
from workbench.serve.pages.people_pages import people_routes
from workbench.show import build

from .test_up import wait_for

pytestmark = pytest.mark.usefixtures("light_hashing")
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
GOOD = "seven lamps under water"


@pytest.fixture(scope="module")
def static():
    try:
        build.build()
    except ConfigError as error:
        need(False, f"the browser side cannot be built: {error}")
    return StaticFiles(directory=build.STATIC)


@pytest.fixture
def site(engine, static):
    """The address of the pages behind the gate; two users beside the owner."""
    people.create_owner(engine)
    users.disable(engine, users.add_user(engine, "otto", "operator"))
    people.create_token(engine, "ingest", name="exporters", expires_seconds=86400)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    origins, resolver = local_origins(port, 1), Resolver(engine)
    pages = people_routes(engine, origins, lambda *row, **detail: None)
    app = Starlette(routes=[*pages, Mount("/static", static)])
    address = Address(hosts=origins.main_hosts, rules=policy.MAIN, session=resolver.session)
    gate = Gate(app, resolver, address, SignIn(engine, resolver, origins))
    server = uvicorn.Server(uvicorn.Config(gate, lifespan="off", log_config=None, proxy_headers=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=30)


def owner_link(engine, site: str) -> str:
    return f"{site}/signin#{people.create_link(engine, people.create_owner(engine))}"


def test_a_phone_without_scripts_is_enough_from_the_invite_to_the_password(site, engine, page):
    browser = page.context.browser
    phone = {"viewport": {"width": 390, "height": 844}, "java_script_enabled": False}
    admin, guest = browser.new_context(**phone).new_page(), browser.new_context(**phone).new_page()

    def paste(someone, link: str) -> None:
        someone.goto(f"{site}/signin")
        if someone.locator("summary").count():
            someone.locator("summary").click()
        someone.get_by_label("Sign-in link").fill(link)
        someone.locator("#by-link button").click()

    paste(admin, owner_link(engine, site))
    admin.goto(f"{site}/people/")
    admin.get_by_label("Name").fill("kim")
    admin.locator("#new-role").select_option("viewer")
    admin.get_by_role("button", name="Show an invite link").click()
    link = admin.get_by_label("Sign-in link").input_value()
    paste(guest, link)
    guest.get_by_text("Welcome").wait_for()
    guest.get_by_label("New password").fill(GOOD)
    guest.get_by_label("The same again").fill(GOOD)
    guest.get_by_role("button", name="Set password").click()
    guest.get_by_text("The password is set").wait_for()
    assert guest.get_by_role("link", name="People").count() == 0, "a viewer is not led there"
    guest.get_by_role("button", name="Sign out here").click()
    guest.get_by_label("Name").fill("kim")
    guest.get_by_label("Password").fill(GOOD)
    guest.keyboard.press("Enter")
    guest.wait_for_url(f"{site}/")
    guest.goto(f"{site}/people/me")
    guest.get_by_text("by password").wait_for()
    admin.goto(f"{site}/people/")
    admin.get_by_role("button", name="Disable kim").click()
    wait_for(lambda: guest.goto(f"{site}/people/me").status == 401, "the end of the session is felt")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390), ("light", 320)])
def test_axe_finds_no_violation_and_nothing_sticks_out(site, engine, page, scheme, width):
    axe = build.WEB / "node_modules" / "axe-core" / "axe.min.js"
    need(axe.exists(), "axe-core is not installed")
    users.set_password(engine, people.create_owner(engine), GOOD)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})

    def look(what: str) -> None:
        page.wait_for_load_state("load")  # with the style sheet
        assert page.evaluate("document.documentElement.scrollWidth") <= width, what
        page.evaluate(axe.read_text(encoding="utf-8"))
        found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", AXE_TAGS)
        faults = [(rule["id"], [node["html"][:160] for node in rule["nodes"]][:3]) for rule in found["violations"]]
        assert faults == [], what

    page.goto(f"{site}/signin?again&next=/people/")
    look("signing in")
    page.get_by_label("Name").fill("owner")
    page.get_by_label("Password").fill(GOOD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site}/people/")
    look("people")
    page.get_by_role("button", name="Make a token").click()
    assert "token" not in page.url, "a field that must be filled in stops the form"
    page.get_by_label("What for").fill("display")
    page.get_by_role("button", name="Make a token").click()
    page.get_by_label("Token").wait_for()
    look("a new token")
    page.goto(f"{site}/people/me")
    look("oneself")
    page.get_by_role("button", name="Show a sign-in link").click()
    page.get_by_label("Sign-in link").wait_for()
    look("a link")
