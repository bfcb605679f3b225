"""The time to the last chart of the overview in a real browser: cold, warm, and for 20 people at once."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import Running, cpu_seconds, workbench

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
REPEATS = 7
PEOPLE = 20
HISTORY_SECONDS = 150
# True once every chart of the page has drawn its canvas.
DRAWN = """() => {
  const charts = [...document.querySelectorAll('[data-plot]')];
  return charts.length > 0 && charts.every(chart => chart.querySelector('canvas, .empty'));
}"""


def run() -> str:
    """Measure, and return the section of the page."""
    if not CHROMIUM.exists():
        return "## Page\n\nNo Chromium on this machine: not measured."
    with workbench() as ours:
        time.sleep(HISTORY_SECONDS)  # the simulated history is loaded by then
        found = asyncio.run(_measure(ours))
    lines = [
        "## Time to the last chart",
        "",
        "The overview with 60 days of simulated history behind it, from navigation to every chart drawn, in headless",
        "Chromium on the same two cores as the server.",
        "",
        "| visitors | median | highest | n |",
        "|---|---|---|---|",
    ]
    for name, times in found.items():
        lines.append(f"| {name} | {statistics.median(times):.2f} s | {max(times):.2f} s | {len(times)} |")
    return "\n".join(lines)


async def _measure(ours: Running) -> dict[str, list[float]]:
    from playwright.async_api import async_playwright

    url = ours.status()["url"].rstrip("/")
    found: dict[str, list[float]] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        signed_in = await sign_in(browser, ours)
        found["one, cold (empty browser cache)"] = [
            await _open(await browser.new_context(storage_state=signed_in), url) for _ in range(REPEATS)
        ]
        context = await browser.new_context(storage_state=signed_in)
        await _open(context, url)
        found["one, warm"] = [await _open(context, url) for _ in range(REPEATS)]
        contexts = [await browser.new_context(storage_state=signed_in) for _ in range(PEOPLE)]
        front = ours.pid("front")
        before = cpu_seconds(front)
        crowd = list(await asyncio.gather(*(_open(one, url) for one in contexts)))
        # Twenty browsers draw on the cores of the server: its own share says what they waited for.
        found[f"{PEOPLE} at once, cold; the server used {cpu_seconds(front) - before:.2f} s of CPU"] = crowd
        found["one, 7 days"] = [await _open(context, url, "?range=7d") for _ in range(REPEATS)]
        found["one, 60 days"] = [await _open(context, url, "?range=60d") for _ in range(REPEATS)]
        await browser.close()
    return found


async def sign_in(browser: Any, ours: Running) -> Any:
    """The state of a browser in which the owner has signed in."""
    link = re.search(r"http://\S+/signin#\S+", ours.command("open"))
    assert link is not None
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(link.group())
    await page.wait_for_url("**/live/**")
    return await context.storage_state()


async def _open(context: Any, url: str, query: str = "") -> float:
    """Seconds from navigation to the last chart."""
    page = await context.new_page()
    begun = time.monotonic()
    await page.goto(f"{url}/live/overview{query}", wait_until="commit")
    await page.wait_for_function(DRAWN, timeout=60_000, polling=20)
    seconds = time.monotonic() - begun
    await page.close()
    return seconds
