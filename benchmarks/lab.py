"""JupyterLab in a real browser, to a notebook whose kernel is ready, and ten tabs of the overview at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from benchmarks.machine import Running, workbench
from benchmarks.page import CHROMIUM, DRAWN, FLAGS, HISTORY_SECONDS, sign_in

REPEATS = 5
TABS = 10
WATCH_SECONDS = 15
LAB_READY = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator[data-status='idle']"


def run() -> str:
    """Measure, and return the section of the page."""
    if not CHROMIUM.exists():
        return "## JupyterLab, and many tabs\n\nNo Chromium on this machine: not measured."
    with workbench() as ours:
        time.sleep(HISTORY_SECONDS)  # the simulated history is loaded by then
        times, live = asyncio.run(_measure(ours))
    rows = [
        f"| {name} | {statistics.median(found):.2f} s | {max(found):.2f} s | {len(found)} |"
        for name, found in times.items()
    ]
    return "\n".join(
        [
            "## JupyterLab, and many tabs",
            "",
            "From navigation on the main address, through the entrance of the second one, to a notebook whose kernel",
            "has answered; headless Chromium on the same two cores.",
            "",
            "| what | median | highest | n |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{TABS} tabs of the overview in one browser: {live} of them moved within {WATCH_SECONDS} s of being seen.",
        ]
    )


async def _measure(ours: Running) -> tuple[dict[str, list[float]], int]:
    from playwright.async_api import async_playwright

    url = ours.status()["url"].rstrip("/")
    times: dict[str, list[float]] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        signed_in = await sign_in(browser, ours)
        context = await browser.new_context(storage_state=signed_in)
        times["JupyterLab, the very first: its server is started"] = [await _lab(context, url)]
        times["JupyterLab, again, to a notebook that runs"] = [await _lab(context, url) for _ in range(REPEATS)]
        live = await _tabs(await browser.new_context(storage_state=signed_in), url)
        await browser.close()
    return times, live


async def _lab(context: Any, url: str) -> float:
    page = await context.new_page()
    begun = time.monotonic()
    await page.goto(f"{url}/to/lab/", wait_until="commit")
    await page.wait_for_selector(LAB_READY, timeout=180_000)
    seconds = time.monotonic() - begun
    await page.close()
    return seconds


async def _tabs(context: Any, url: str) -> int:
    """How many of the tabs show new figures while they are in front."""
    pages = [await context.new_page() for _ in range(TABS)]
    for page in pages:
        await page.goto(f"{url}/live/overview")
        await page.wait_for_function(DRAWN, timeout=120_000, polling=50)
    moved = 0
    for page in pages:
        await page.bring_to_front()
        before = await page.inner_text("main")
        try:
            await page.wait_for_function(
                "before => document.querySelector('main').innerText !== before",
                arg=before,
                timeout=WATCH_SECONDS * 1000,
            )
            moved += 1
        except Exception:
            continue
    return moved
