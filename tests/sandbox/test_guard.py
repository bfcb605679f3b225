"""Memory and processes past the limit end the group that took them, and nobody else."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager

import pytest
from conftest import need

from workbench.sandbox import Guard, Limits, available, each_kernel, sandboxed
from workbench.sandbox.guard import tree

GREEDY = "import time; kept = bytearray(b'x') * (400 * 2**20); time.sleep(600)"
BOMB = "import os, time\nfor _ in range(9): os.fork()\ntime.sleep(600)"
KERNELS = [f"{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}" for digit in "12"]
FAMILY = """
import subprocess, sys
greedy = "import time; kept = bytearray(b'x') * (400 * 2**20); time.sleep(600)"
modest = "print('still here' if input() else '')"
made = [
    subprocess.Popen([sys.executable, "-c", code, f"kernel-{name}.json"], stdin=subprocess.PIPE, text=True)
    for code, name in ((modest, KERNELS[0]), (greedy, KERNELS[1]))
]
print("greedy ended with", made[1].wait(), flush=True)
made[0].communicate("go\\n")
"""


@contextmanager
def guarded(home, own, code, limits, **options):
    """A sandboxed process, and what its guard told."""
    need(not available(), available())
    argv = sandboxed([sys.executable, "-c", code], settings=home, write=[own])
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = []
    guard = Guard(process.pid, limits, lambda group, why: told.append((group.name, why)), **options)
    guard.start()
    try:
        yield process, told
    finally:
        process.kill()
        process.wait()
        guard.join(10)
        assert not guard.is_alive(), "it ends with what it watches"


@pytest.mark.parametrize(
    ("code", "why"), [(GREEDY, r"more than the 0\.2 GiB that it may use. Read less"), (BOMB, "more than 100 processes")]
)
def test_what_takes_too_much_is_ended_and_told_why(home, own, code, why):
    limits = Limits(memory_bytes=200 * 2**20, processes=100, hint="Read less.")
    with guarded(home, own, code, limits) as (process, told):
        assert process.wait(30) != 0
        assert [name for name, _ in told] == [""]
        assert re.search(why, told[0][1])
    assert tree(process.pid) == []


def test_of_several_kernels_only_the_greedy_one_ends(home, own):
    limits = Limits(memory_bytes=200 * 2**20)
    code = f"KERNELS = {KERNELS}\n{FAMILY}"
    with guarded(home, own, code, limits, split=each_kernel) as (process, told):
        output, _ = process.communicate(timeout=30)
        assert "greedy ended with -9" in output
        assert "still here" in output
        assert process.returncode == 0
        assert [name for name, _ in told] == [KERNELS[1]]
