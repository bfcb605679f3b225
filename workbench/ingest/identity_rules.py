"""What a series may be called, and by whom."""

from __future__ import annotations

import re

from workbench.config import Ingest
from workbench.ingest.refusals import Refusal
from workbench.store import Identity

MAX_LABELS = 128
"""Resource and point attributes together. Kubernetes resources have about 40."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def check_identity(identity: Identity, limits: Ingest, *, anonymous: bool) -> Refusal | None:
    """Why this series is refused, None if it is not."""
    pairs = identity.resource + identity.attributes
    if not identity.name:
        return Refusal("no_name")
    if len(pairs) > MAX_LABELS:
        return Refusal("too_many_labels", where=f"{identity.name}: {len(pairs)} labels")
    for text in (identity.name, identity.unit):
        if over(text, limits.max_label_bytes):
            return Refusal("label_too_long", where=f"{text[:64]}…")
    for key, value in pairs:
        if not key:
            return Refusal("bad_label", where=f"{identity.name}: a label without a name")
        if over(key, limits.max_label_bytes) or over(value, limits.max_label_bytes):
            return Refusal("label_too_long", where=f"{identity.name}: {key[:64]}")
        if anonymous and reserved(key):
            return Refusal("reserved_label", where=f"{identity.name}: {key[:64]}")
    return None


def over(text: str, max_bytes: int) -> bool:
    """Whether a text has more UTF-8 bytes than that; encodes only where the count of characters leaves it open."""
    return len(text) > max_bytes or (4 * len(text) > max_bytes and len(text.encode()) > max_bytes)


def reserved(key: str) -> bool:
    """Whether only a caller with a token may set that label: as PromQL will name it, it starts `__` or `workbench_`."""
    return _NOT_IN_NAMES.sub("_", key[:16]).startswith(("__", "workbench_"))
