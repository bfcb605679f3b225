"""The operators' drill-down in a real browser: the first time, again, a brushed window, and ten pages at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import psutil

from benchmarks.machine import Running, cpu_seconds, workbench
from benchmarks.page import CHROMIUM, FLAGS, HISTORY_SECONDS, sign_in

REPEATS = 7
PAGES = 10
WATCH_SECONDS = 20
DRAWN = "body[data-drawn=true]"


def run() -> str:
    """Measure, and return the section of the page."""
    if not CHROMIUM.exists():
        return "## Drill-down\n\nNo Chromium on this machine: not measured."
    with workbench() as ours:
        time.sleep(HISTORY_SECONDS)  # the simulated history is loaded by then
        times, crowd = asyncio.run(_measure(ours))
    lines = [
        "## The operators' drill-down",
        "",
        "From navigation on the main address, through the entrance of the second one, to six charts, their comparison",
        "and the ranking of all sections; 60 days of simulated history, headless Chromium on the same two cores.",
        "",
        "| what | median | highest | n |",
        "|---|---|---|---|",
        *(
            f"| {name} | {statistics.median(found):.2f} s | {max(found):.2f} s | {len(found)} |"
            for name, found in times.items()
        ),
        "",
        crowd,
    ]
    return "\n".join(lines)


async def _measure(ours: Running) -> tuple[dict[str, list[float]], str]:
    from playwright.async_api import async_playwright

    url = ours.status()["url"].rstrip("/")
    times: dict[str, list[float]] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        signed_in = await sign_in(browser, ours)
        first = await browser.new_context(storage_state=signed_in)
        times["the very first: the process is started"] = [await _open(first, url)]
        times["cold (empty browser cache)"] = [
            await _open(await browser.new_context(storage_state=signed_in), url) for _ in range(REPEATS)
        ]
        times["warm"] = [await _open(first, url) for _ in range(REPEATS)]
        times["warm, 30 days"] = [await _open(first, url, "?range=30d") for _ in range(REPEATS)]
        times["to another section"] = await _switch(first, url)
        crowd = await _crowd(first, url, ours)
        await browser.close()
    return times, crowd


async def _open(context: Any, url: str, query: str = "") -> float:
    """Seconds from navigation to the last chart."""
    page = await context.new_page()
    begun = time.monotonic()
    await page.goto(f"{url}/to/ops/{query}", wait_until="commit")
    await page.locator(DRAWN).wait_for(timeout=120_000)
    seconds = time.monotonic() - begun
    await page.close()
    return seconds


async def _switch(context: Any, url: str) -> list[float]:
    """Seconds from a click on another section to its charts."""
    page = await context.new_page()
    await page.goto(f"{url}/to/ops/")
    await page.locator(DRAWN).wait_for(timeout=120_000)
    found = []
    for name in ["Content", "Components", "This host", "Traffic"] * 2:
        begun = time.monotonic()
        await page.locator("#sections a", has_text=name).click()
        await page.locator(f"#section-title:text-is('{name}')").wait_for()
        found.append(time.monotonic() - begun)
    await page.close()
    return found


async def _crowd(context: Any, url: str, ours: Running) -> str:
    """What many open pages cost the process, in words."""
    pages = [await context.new_page() for _ in range(PAGES)]
    for page in pages:
        await page.goto(f"{url}/to/ops/")
        await page.locator(DRAWN).wait_for(timeout=120_000)
    pid = ours.pid("ops")
    before, begun = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(WATCH_SECONDS)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - begun)
    memory = psutil.Process(pid).memory_info().rss / 2**20
    return (
        f"{PAGES} pages open, each moving every 5 s: {share * 100:.1f} % of a core and {memory:,.0f} MiB in the "
        "process `ops`."
    )
