"""What the workbench costs while nobody does anything: CPU and memory of all its processes."""

from __future__ import annotations

import time

import psutil

from benchmarks.machine import workbench

SETTLE_SECONDS = 30
SECONDS = 120


def run() -> str:
    """Measure, and return the section of the page."""
    lines = [
        "## Idle",
        "",
        f"Host measured every second, rules every second, nobody on a page;"
        f" {SECONDS} s after {SETTLE_SECONDS} s of settling.",
        "",
        "| process | CPU, % of one core | memory (PSS), MiB |",
        "|---|---|---|",
    ]
    with workbench("--no-demo") as ours:
        time.sleep(SETTLE_SECONDS)
        processes = {entry["name"]: psutil.Process(entry["pid"]) for entry in ours.status()["processes"]}
        before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
        begun = time.monotonic()
        time.sleep(SECONDS)
        seconds = time.monotonic() - begun
        used = {
            name: (sum(process.cpu_times()[:2]) - before[name]) / seconds * 100 for name, process in processes.items()
        }
        memory = {name: _pss_bytes(process) / 2**20 for name, process in processes.items()}
    lines += [f"| {name} | {used[name]:.2f} | {memory[name]:.0f} |" for name in used]
    total = sum(used.values())
    lines.append(f"| **all** | **{total:.2f}** | **{sum(memory.values()):.0f}** |")
    cores = psutil.cpu_count() or 1
    lines += ["", f"That is {total / cores:.2f} % of this machine ({cores} cores); the floor is 2 %."]
    return "\n".join(lines)


def _pss_bytes(process: psutil.Process) -> int:
    """Proportional set size where the system tells it (pages shared by several processes count once), else resident."""
    found = process.memory_full_info()
    return int(getattr(found, "pss", found.rss))
