"""Who changed what about people: a row of the kind `audit` in the lake, and a line in the log, for each change."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from workbench import log
from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.schema import KINDS
from workbench.store import RemoteWriter, Writer, attach

Audit = Callable[..., None]
"""`audit(actor, action, target, **detail)`: keep it. Blocks until it is durable; raises nothing, as it is done."""

_log = log.get(__name__)


def through_hub(settings: Settings) -> Audit:
    """What a process beside the hub keeps its changes with."""

    def audit(actor: str, action: str, target: str, **detail: Any) -> None:
        _keep(lambda: RemoteWriter(settings, timeout_seconds=10), actor, action, target, detail)

    return audit


def from_command_line(settings: Settings) -> Audit:
    """What a command keeps its change with, whether a workbench runs or not."""

    def audit(actor: str, action: str, target: str, **detail: Any) -> None:
        _keep(lambda: attach(settings, wait_seconds=5), actor, action, target, detail)

    return audit


def _keep(
    writer: Callable[[], Writer | RemoteWriter], actor: str, action: str, target: str, detail: dict[str, Any]
) -> None:
    row = {
        "id": uuid.uuid4().hex,
        "time": time.time_ns() // 1000,
        "actor": actor,
        "action": action,
        "target": target,
        "detail": json.dumps(detail, sort_keys=True),
    }
    _log.info("audit", actor=actor, action=action, target=target, **detail)
    try:
        with writer() as opened:
            opened.append({"audit": pa.RecordBatch.from_pylist([row], schema=KINDS["audit"].schema)}).result(timeout=10)
    except (WorkbenchError, OSError, TimeoutError) as error:
        _log.error("the audit row could not be written to the lake", error=str(error), **row)
