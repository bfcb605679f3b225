"""Open a sign-in link in the browser without the link standing in the list of processes, which every user can read."""

from __future__ import annotations

import html
import os
import sys
import webbrowser
from pathlib import Path

from workbench.serve.running.home import write_private


def show(folder: Path, link: str) -> bool:
    """Write a page that leads to `link` into `folder`, for its owner only, and open that; False without a screen."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False  # `webbrowser` would start a text browser in the middle of our terminal
    page = folder / "open.html"
    target = html.escape(link, quote=True)
    write_private(
        page,
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={target}">'
        f'<title>Workbench</title><a href="{target}">Workbench</a>\n',
    )
    try:
        return webbrowser.open(page.as_uri())
    except webbrowser.Error:
        return False
