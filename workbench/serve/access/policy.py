"""Who may do what on the addresses for people: the roles table of the contracts, as data.

A path that no rule names is denied to everybody, whatever their role, so a new page is closed until it stands here.
`ingest` stands nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

VIEWERS = frozenset({"viewer", "analyst", "operator", "admin"})
DRILLERS = frozenset({"analyst", "operator", "admin"})
ANALYSTS = frozenset({"analyst", "admin"})
OPERATORS = frozenset({"operator", "admin"})
ADMINS = frozenset({"admin"})

READ = frozenset({"GET", "HEAD"})
POST = frozenset({"POST"})
QUERY = READ | {"POST"}  # Prometheus' clients send long queries as a form; it changes nothing

FORMS = READ | {"POST"}

ANY = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "WEBSOCKET"})
SESSION = frozenset({"GET", "HEAD", "WEBSOCKET"})


@dataclass(frozen=True)
class Rule:
    """`roles` may use `methods` on `path` alone, or on all that begins with it where `tree` is set."""

    path: str
    methods: frozenset[str]
    roles: frozenset[str]
    tree: bool = False

    def covers(self, path: str) -> bool:
        """Whether this rule speaks about `path`."""
        return path.startswith(self.path) if self.tree else path == self.path


MAIN = (
    Rule("/", READ, VIEWERS),
    Rule("/live/", READ, VIEWERS, tree=True),
    Rule("/reports/", READ, VIEWERS, tree=True),
    Rule("/boards/", READ, VIEWERS, tree=True),
    Rule("/jobs/", FORMS, OPERATORS, tree=True),
    Rule("/jobs/jobs.css", READ, VIEWERS),
    Rule("/targets/", READ, OPERATORS),
    Rule("/storage/", READ, OPERATORS),
    Rule("/targets/targets.css", READ, VIEWERS),
    Rule("/cardinality/", READ, DRILLERS),
    Rule("/publish/", FORMS, ANALYSTS, tree=True),
    Rule("/data-quality/", READ, VIEWERS, tree=True),  # whose rows are limited is told nothing there
    Rule("/static/", READ, VIEWERS, tree=True),
    Rule("/to/", READ, VIEWERS, tree=True),  # what lies there, the notebook origin decides
    Rule("/people/", READ | POST, ADMINS, tree=True),
    Rule("/people/people.css", READ, VIEWERS),
    Rule("/people/me", READ, VIEWERS),
    Rule("/people/me/", POST, VIEWERS, tree=True),
    Rule("/favicon.ico", READ, VIEWERS),
    Rule("/metrics", READ, VIEWERS),
    Rule("/api/v1/query", QUERY, VIEWERS),
    Rule("/api/v1/query_range", QUERY, VIEWERS),
    Rule("/api/v1/series", QUERY, VIEWERS),
    Rule("/api/v1/labels", QUERY, VIEWERS),
    Rule("/api/v1/label/", READ, VIEWERS, tree=True),
    Rule("/api/v1/metadata", READ, VIEWERS),
    Rule("/api/v1/format_query", QUERY, VIEWERS),
    Rule("/api/v1/parse_query", QUERY, VIEWERS),
    Rule("/api/v1/query_exemplars", QUERY, VIEWERS),
    Rule("/api/v1/read", QUERY, VIEWERS),
    Rule("/federate", READ, VIEWERS),
    Rule("/api/v1/rules", READ, VIEWERS),
    Rule("/api/v1/targets", READ, OPERATORS),
    Rule("/api/v1/alerts", READ, VIEWERS),
    Rule("/api/v1/alertmanagers", READ, VIEWERS),
    Rule("/api/v1/status/buildinfo", READ, VIEWERS),
    Rule("/api/v1/status/runtimeinfo", READ, VIEWERS),
    Rule("/api/v1/status/flags", READ, VIEWERS),
    Rule("/api/v1/status/config", READ, VIEWERS),
    Rule("/api/v1/status/tsdb", READ, VIEWERS),
    Rule("/api/v1/sql", QUERY, VIEWERS),
    Rule("/api/v1/windows", READ, VIEWERS),
)


def lab_roles(*, sandbox: bool) -> frozenset[str]:
    """Who may open JupyterLab."""
    return ANALYSTS if sandbox else ADMINS


def notebook_rules(*, sandbox: bool) -> tuple[Rule, ...]:
    """The notebook origin. Without a `sandbox`, JupyterLab is for admins only."""
    return (
        Rule("/reports/", READ, VIEWERS, tree=True),
        Rule("/snapshots/", READ, VIEWERS, tree=True),
        Rule("/boards/", SESSION, VIEWERS, tree=True),
        Rule("/ops/", SESSION, DRILLERS, tree=True),
        Rule("/ops", READ, DRILLERS),
        Rule("/lab/", ANY, lab_roles(sandbox=sandbox), tree=True),
        Rule("/lab", READ, lab_roles(sandbox=sandbox)),
    )


def allowed(rules: Iterable[Rule], role: str, method: str, path: str) -> bool:
    """Whether a rule lets `role` use `method` on `path`; a websocket's method is `WEBSOCKET`."""
    return any(role in rule.roles and method in rule.methods and rule.covers(path) for rule in rules)


def clean(path: str, raw_path: bytes) -> bool:
    """Whether a path means one thing to everybody: no dot segments, double, encoded or back slashes, no NUL.

    A router behind the gate that reads such a path otherwise than the gate does would open what the gate closed.
    """
    segments = path.split("/")
    if not path.startswith("/") or "\\" in path or "\0" in path or "" in segments[1:-1]:
        return False
    lowered = raw_path.lower()
    return "." not in segments and ".." not in segments and b"%2f" not in lowered and b"%5c" not in lowered
