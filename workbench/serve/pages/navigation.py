"""What the head of each page leads to, for whom."""

from __future__ import annotations

from starlette.requests import Request

from workbench.sandbox import available
from workbench.serve.access import policy

ENTRIES = (
    ("Live", "/live/overview", policy.VIEWERS),
    ("Boards", "/boards/", policy.VIEWERS),
    ("Operations", "/to/ops/", policy.DRILLERS),
    ("Lab", "/to/lab/", policy.ANALYSTS),
    ("Reports", "/reports/", policy.VIEWERS),
    ("Jobs", "/jobs/", policy.OPERATORS),
    ("Targets", "/targets/", policy.OPERATORS),
    ("Quality", "/data-quality/", policy.OPERATORS | policy.ANALYSTS),
    ("Storage", "/storage/", policy.OPERATORS),
    ("Publish", "/publish/", policy.ANALYSTS),
    ("People", "/people/", policy.ADMINS),
    ("You", "/people/me", policy.VIEWERS),
)
"""(name, address, roles). What lies on the notebook origin is reached through `/to/`."""


def navigation(request: Request) -> tuple[tuple[str, str], ...]:
    """(name, address) of what the one who asks may open."""
    return entries(request.state.person.role)


def entries(role: str, origin: str = "") -> tuple[tuple[str, str], ...]:
    """(name, address) of what a role may open; with `origin` before each, for the pages of the other origin."""
    return tuple((name, origin + address) for name, address, roles in ENTRIES if role in _open_to(name, roles))


def _open_to(name: str, roles: frozenset[str]) -> frozenset[str]:
    return policy.lab_roles(sandbox=not available()) if name == "Lab" else roles
