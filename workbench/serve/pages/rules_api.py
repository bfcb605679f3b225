"""Prometheus' `/api/v1/rules` on the main address: every rule with its health, and the alerts of the caller's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workbench.alert import state_of
from workbench.config import Settings
from workbench.errors import InputError, StoreError, WorkbenchError
from workbench.query import Condition, error_response, parse
from workbench.serve.access.rows import Rows
from workbench.serve.running import local_http

_TYPES = {"": "", "alert": "alerting", "record": "recording"}


def rules_routes(rows_of: Callable[[Request], Rows], settings: Settings) -> list[Route]:
    """The route; `rows_of` tells what whoever asks may see."""

    async def answer(request: Request) -> Response:
        try:
            status, body = await local_http.get(settings.hub_socket, "/rules")
            if status != 200:
                raise StoreError("the hub does not answer", hint="See `workbench status`.")
            data = {"groups": shown(orjson.loads(body), request.query_params, rows_of(request))}
            status, found = 200, orjson.dumps({"status": "success", "data": data})
        except WorkbenchError as error:
            status, found = error_response(error)
        return Response(found, status, media_type="application/json")

    return [Route("/api/v1/rules", answer)]


def shown(groups: Sequence[Mapping[str, Any]], asked: QueryParams, rows: Rows) -> list[dict[str, Any]]:
    """The groups that were asked for, as far as they may be seen. Raises InputError, QuerySyntaxError.

    Parameters: `type` (alert, record), `rule_name[]`, `rule_group[]`, `file[]`, `match[]`, `exclude_alerts`.
    """
    kind = asked.get("type", "").lower()
    if kind not in _TYPES:
        raise InputError(f"not supported value {kind!r}", where="type", hint="alert or record.")
    names, groups_asked, files = (set(asked.getlist(f"{name}[]")) for name in ("rule_name", "rule_group", "file"))
    conditions = [Condition(_matchers(text)) for text in asked.getlist("match[]")]
    alerts = asked.get("exclude_alerts", "").lower() not in ("true", "1", "t")

    def wanted(rule: Mapping[str, Any]) -> bool:
        return (
            (not kind or rule["type"] == _TYPES[kind])
            and (not names or rule["name"] in names)
            and (not conditions or any(condition.shows(rule["labels"]) for condition in conditions))
        )

    found = []
    for group in groups:
        if (groups_asked and group["name"] not in groups_asked) or (files and group["file"] not in files):
            continue
        rules = [_rule(rule, rows, alerts=alerts) for rule in group["rules"] if wanted(rule)]
        if rules or not (kind or names or conditions):
            found.append({**group, "rules": rules})
    return found


def _rule(rule: Mapping[str, Any], rows: Rows, *, alerts: bool) -> dict[str, Any]:
    made = dict(rule)
    # What a rule failed of may name series that are hidden.
    if rows.matchers and made["lastError"]:
        made["lastError"] = "who sees all rows is told why"
    if "alerts" in made:
        seen = [alert for alert in made["alerts"] if rows.condition.shows_derived(alert["labels"])]
        made |= {"alerts": seen if alerts else [], "state": state_of([alert["state"] for alert in seen])}
    return made


def _matchers(text: str) -> Any:
    node: Any = parse(text)
    if not hasattr(node, "matchers"):
        raise InputError(f"{text!r} is not a series selector", where="match[]")
    return node.matchers
