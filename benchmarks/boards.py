"""The time to the last chart of the executive board in a real browser: its snapshot cold, warm, and a session's."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from benchmarks.machine import Running, workbench
from benchmarks.page import CHROMIUM, FLAGS, HISTORY_SECONDS, REPEATS, sign_in

SESSIONS = 3
PEOPLE = 10


def run() -> str:
    """Measure, and return the section of the page."""
    if not CHROMIUM.exists():
        return "## Boards\n\nNo Chromium on this machine: not measured."
    with workbench() as ours:
        time.sleep(HISTORY_SECONDS)  # the simulated history is loaded by then
        begun = time.monotonic()
        ours.command("jobs", "run", "executive")
        rendered = time.monotonic() - begun
        found = asyncio.run(_measure(ours))
    lines = [
        "## Boards",
        "",
        "The executive board over 60 days of simulated history, from navigation to its last chart, in headless",
        f"Chromium on the same two cores as the server. Making its snapshot took {rendered:.1f} s.",
        "",
        "| opened | median | highest | n |",
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
        found["snapshot, cold (empty browser cache)"] = [
            await _snapshot(await browser.new_context(storage_state=signed_in), url) for _ in range(REPEATS)
        ]
        context = await browser.new_context(storage_state=signed_in)
        await _snapshot(context, url)
        found["snapshot, warm"] = [await _snapshot(context, url) for _ in range(REPEATS)]
        contexts = [await browser.new_context(storage_state=signed_in) for _ in range(PEOPLE)]
        found[f"snapshot, {PEOPLE} people at once, cold"] = list(
            await asyncio.gather(*(_snapshot(one, url) for one in contexts))
        )
        await _session(context, url)  # Voila starts when it is first asked for
        found["session, from *Interact* to its controls"] = [await _session(context, url) for _ in range(SESSIONS)]
        await browser.close()
    return found


async def _snapshot(context: Any, url: str) -> float:
    """Seconds from navigation to the last chart in the frame."""
    page = await context.new_page()
    begun = time.monotonic()
    await page.goto(f"{url}/boards/executive", wait_until="commit")
    await page.frame_locator("iframe.board").locator("figure.chart svg").last.wait_for(timeout=60_000)
    seconds = time.monotonic() - begun
    await page.close()
    return seconds


async def _session(context: Any, url: str) -> float:
    """Seconds from *Interact* to the controls, which come after the last chart."""
    page = await context.new_page()
    begun = time.monotonic()
    await page.goto(f"{url}/to/boards/open/executive", wait_until="commit")
    await page.locator(".noUi-handle").first.wait_for(timeout=180_000)
    seconds = time.monotonic() - begun
    await page.close()
    return seconds
