"""JupyterLab in a whole workbench: started by who opens it first, reached through the second origin alone."""

from __future__ import annotations

import contextlib
import json

from conftest import need

from system.conftest import Workbench, wait_for
from workbench.sandbox import available


def test_it_starts_when_it_is_first_opened_and_shows_the_start_notebook(workbench: Workbench):
    need(not available(), available())
    with contextlib.closing(workbench.browser()) as browser:
        first = browser.get("/to/lab/", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
        assert first.status_code == 503
        assert "is starting" in first.text
        page = wait_for(lambda: page if (page := browser.get("/to/lab/")).status_code == 200 else None, "lab", 120)
        assert str(page.url).startswith(workbench.status()["notebook_url"])
        assert page.url.path == "/lab/lab/tree/start.ipynb"
        data = json.loads(page.text.split('id="jupyter-config-data" type="application/json">')[1].split("</script>")[0])
        assert data["token"] == "", "the page does not tell the server's secret"
        contents = browser.get(page.url.join("/lab/api/contents")).json()["content"]
        assert {"start.ipynb", "shipped"} <= {entry["name"] for entry in contents}
    token = workbench.token("admin")
    assert workbench.get("/lab/api/contents", token=token)[0] in {403, 404}, "no token opens the lab"
