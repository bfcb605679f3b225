"""When a query has to end: too many samples, too long, or nobody waits for it any more."""

from __future__ import annotations

import time
from collections.abc import Callable

from workbench import config
from workbench.errors import QueryCanceled, QueryLimit
from workbench.query.samples import Budget


def never() -> bool:
    """Whoever asked waits to the end."""
    return False


def query_budget(limits: config.Query, canceled: Callable[[], bool] = never) -> Budget:
    """What one query may read and make, its time counted from now on."""
    started = time.monotonic()

    def check() -> None:
        if canceled():
            raise QueryCanceled("query was canceled: whoever asked went away")
        if time.monotonic() - started > limits.timeout_seconds:
            raise QueryLimit(f"query timed out after {limits.timeout_seconds} s", hint="Ask for fewer series or steps.")

    return Budget(limits.max_samples, check=check)
