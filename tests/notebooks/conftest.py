"""A small home as a machine leaves it after some days, with a piece of the simulated platform beside it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from workbench import config
from workbench.schema import KINDS
from workbench.store import Identity, open_writer

DAYS, STEP_SECONDS = 5, 120
END_US = time.time_ns() // 1000 // 60_000_000 * 60_000_000  # a version's "now" is when it was sealed
HOST = (("host.name", "box"), ("service.name", "workbench-agent"))
SIMULATED = (("deployment.environment.name", "simulated"), ("host.name", "sim"), ("service.name", "api_gateway"))


def columns(series: int, times_us: np.ndarray, values: np.ndarray) -> pa.RecordBatch:
    given = {
        "series": pa.array(np.full(len(times_us), series)),
        "time": pa.array(times_us),
        "type": pa.array(np.zeros(len(times_us), np.int8)),
        "value": pa.array(values, pa.float64()),
    }
    schema = KINDS["samples"].schema
    count = len(times_us)
    arrays = [given[f.name].cast(f.type) if f.name in given else pa.nulls(count, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def daily_load(times_us: np.ndarray, seed: int) -> np.ndarray:
    """A share that is high by day and low by night, with noise that fades slowly."""
    chance = np.random.default_rng(seed)
    hours = times_us / 3.6e9
    noise = np.convolve(chance.normal(0, 0.03, len(times_us)), 0.8 ** np.arange(12), "same")
    return np.clip(0.4 - 0.2 * np.cos(2 * np.pi * hours / 24) + noise, 0.01, 0.95)


def make_home(folder: Path) -> tuple[config.Settings, str]:
    """Settings and lake version of a home with `DAYS` days of this machine."""
    settings = config.load(folder, environ={})
    times = END_US - np.arange(DAYS * 86_400 // STEP_SECONDS)[::-1] * STEP_SECONDS * 1_000_000
    with open_writer(settings) as writer:
        for number, resource in enumerate((HOST, SIMULATED)):
            busy = daily_load(times, number)
            values = {
                ("system.cpu.utilization", "gauge", "1", "cpu.mode", "user"): busy * 0.7,
                ("system.cpu.utilization", "gauge", "1", "cpu.mode", "system"): busy * 0.3,
                ("system.cpu.utilization", "gauge", "1", "cpu.mode", "idle"): 1 - busy,
                ("system.network.io", "counter", "By", "network.io.direction", "receive"): np.cumsum(busy * 1e6),
            }
            for (name, type_, unit, key, value), series in values.items():
                identity = Identity("otel", name, type_, unit, "", resource, ((key, value),))
                (known,) = writer.register([(identity, "", "")], "test")
                writer.append({"samples": columns(known, times, series)}).result()
        return settings, writer.seal()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[config.Settings, str]:
    """The home, made once."""
    return make_home(tmp_path_factory.mktemp("notebooks") / "home")
