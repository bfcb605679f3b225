"""Compaction from outside: the same rows, each once, in fewer files, whatever is killed when."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import Settings
from workbench.schema import KINDS
from workbench.store import compaction
from workbench.store.compaction import compact
from workbench.store.lake import Lake
from workbench.store.rows import deduplicate

from .test_lake import APP, DAY_US, NOON_US, lake, rows, samples  # noqa: F401

HOUR_US = 3_600_000_000
KEY = ["series", "time", "type"]


def test_dedupe_keeps_the_newest() -> None:
    pass
