"""One error family for the whole workbench.

WorkbenchError
├── ConfigError             a setting is unknown, malformed or contradictory
├── PortTaken               a port that was asked for belongs to somebody else
├── InputError              what was sent or imported cannot be accepted (HTTP 400)
│   ├── TooLarge            a body, a label or an expansion over its bound (413)
│   └── UnsupportedMedia    a media type or encoding that the door does not speak (415)
├── Busy                    the bounded queue is full; try again later (429)
├── AccessError             the caller may not do that
│   ├── SignInRequired      nobody is signed in, or the token is wrong (401)
│   └── Forbidden           somebody is, but not for this (403)
├── QueryError              a query cannot be answered (422)
│   ├── QuerySyntaxError    it does not parse; knows the position (400)
│   ├── NotEvaluated        it parses, but this version does not evaluate it yet
│   ├── QueryLimit          it would exceed a limit on samples, steps or time
│   └── QueryCanceled       whoever asked is not there any more (499)
├── StoreError              the log, the lake or the state cannot serve (503)
│   ├── LogSyncError        a write could not be made durable; the segment was abandoned
│   ├── LogCorrupt          a checksum fails where no crash explains it, or the log is not ours
│   ├── LakeLocked          another process writes this lake
│   ├── LayoutUnknown       the home was written by a layout that this version does not know
│   ├── DiskFull            less free space than the door needs
│   ├── HoldConflict        a legal hold forbids to let go of these rows (409)
│   └── VersionGone         that lake version was never there, or is kept no longer
├── DeliveryError           a notification was not accepted; says whether trying again can help
└── ReportError             a notebook did not run to its end; knows the cell

Every error says what was wrong (`message`), where (`where`: file, line, field, series) and what to do (`hint`).
"""

from __future__ import annotations

import json
from typing import Any


class WorkbenchError(Exception):
    """Base of all errors that the workbench raises on purpose.

    `status` is the HTTP status a door answers with, `code` the stable machine-readable name.
    """

    status = 500

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    @property
    def code(self) -> str:
        """The stable name of this kind of error, as doors and scripts see it."""
        return type(self).__name__

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}. {self.hint}" if self.hint else text

    def as_dict(self) -> dict[str, Any]:
        """The one JSON shape of an error at every door."""
        return {"error": self.code, "message": self.message, "where": self.where, "hint": self.hint}


class ConfigError(WorkbenchError):
    """A setting is unknown, malformed or contradictory."""


class PortTaken(WorkbenchError):
    """A port that was asked for belongs to somebody else."""


class InputError(WorkbenchError):
    """What was sent or imported cannot be accepted."""

    status = 400


class TooLarge(InputError):
    """A body, a label or an expansion is over its bound."""

    status = 413


class UnsupportedMedia(InputError):
    """A media type or encoding that the door does not speak."""

    status = 415


class Busy(WorkbenchError):
    """The bounded queue is full; the caller should try again after `retry_after_seconds`."""

    status = 429

    def __init__(self, message: str, *, retry_after_seconds: int = 1, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint or f"Try again in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


class AccessError(WorkbenchError):
    """The caller may not do that."""

    status = 403


class SignInRequired(AccessError):
    """Nobody is signed in, or the token is wrong, revoked or expired."""

    status = 401


class Forbidden(AccessError):
    """Somebody is signed in, but not for this."""


class QueryError(WorkbenchError):
    """A query cannot be answered."""

    status = 422


class QuerySyntaxError(QueryError):
    """A query does not parse. `position` is the 0-based character where the trouble starts."""

    status = 400

    def __init__(self, message: str, *, position: int, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where or f"character {position + 1}", hint=hint)
        self.position = position


class NotEvaluated(QueryError):
    """A query parses, but uses what this version does not evaluate yet; the message names it."""


class QueryLimit(QueryError):
    """A query would exceed a limit on samples, steps or time."""


class QueryCanceled(QueryError):
    """Whoever asked went away, so the answer was not finished."""

    status = 499


class StoreError(WorkbenchError):
    """The log, the lake or the state cannot serve."""

    status = 503


class LogSyncError(StoreError):
    """A write could not be made durable; its segment was abandoned and nothing was acknowledged."""


class LogCorrupt(StoreError):
    """A checksum fails where no crash explains it, or the log does not belong to this lake."""


class LakeLocked(StoreError):
    """Another process writes this lake."""


class LayoutUnknown(StoreError):
    """The home was written by a layout that this version does not know."""


class DiskFull(StoreError):
    """There is less free space than the door needs."""


class HoldConflict(StoreError):
    """A legal hold forbids to let go of these rows; the message names it."""

    status = 409


class VersionGone(StoreError):
    """That lake version was never there, or is kept no longer."""

    status = 410


class DeliveryError(WorkbenchError):
    """A notification was not accepted. `retry` says whether trying again can help."""

    def __init__(self, message: str, *, retry: bool, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry = retry


class ReportError(WorkbenchError):
    """A notebook did not run to its end. `cell` is the 1-based number of the code cell that failed, 0 if none did."""

    def __init__(self, message: str, *, cell: int = 0, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.cell = cell


def raised_again(content: bytes, otherwise: WorkbenchError) -> WorkbenchError:
    """The error behind another process's answer (`as_dict` as JSON), as far as the constructor of its kind allows."""
    try:
        body = json.loads(content)
        kind = globals()[body["error"]]
        made = kind(body["message"], where=body["where"], hint=body["hint"])
    except (ValueError, KeyError, TypeError):
        return otherwise
    return made if isinstance(made, WorkbenchError) else otherwise
