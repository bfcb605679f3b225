"""The drill-down in a whole workbench: started by who opens it first, and reached through the second origin."""

from __future__ import annotations

import contextlib
import re

from system.conftest import Workbench, wait_for


def test_the_process_starts_when_it_is_first_opened(workbench: Workbench):
    names = {process["name"] for process in workbench.status()["processes"]}
    assert "ops" not in names
    with contextlib.closing(workbench.browser()) as browser:
        first = browser.get("/to/ops/", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
        assert first.status_code == 503
        assert "is starting" in first.text
        page = wait_for(lambda: page if (page := browser.get("/to/ops/")).status_code == 200 else None, "ops", 90)
        assert "<h1>Operations</h1>" in page.text
        assert str(page.url).startswith(workbench.status()["notebook_url"])
        main = workbench.status()["url"].rstrip("/")
        assert f'<a href="{main}/to/ops/" aria-current="page">' in page.text
        for address in set(re.findall(r'(?:src|href)="(/ops/[^"]+)"', page.text)):
            assert browser.get(page.url.join(address)).status_code == 200, address
        assert browser.get(page.url.join("/ops/?bokeh-session-id=mine")).status_code == 403
        notebook = browser.get(page.url.join("/ops/notebook?chart=host_cpu"))
        assert notebook.headers["content-type"] == "application/x-ipynb+json"
