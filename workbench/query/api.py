"""Prometheus' HTTP API as pure functions: parameters in, status and JSON out. `serve` mounts them.

Shapes and texts are those of Prometheus' documentation, "HTTP API"; what Prometheus clients read works here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from workbench import config
from workbench.errors import InputError, QueryLimit, QuerySyntaxError, StoreError, WorkbenchError
from workbench.query.evaluate import instant, range_query
from workbench.query.index import label_index
from workbench.query.promql import nodes, parse
from workbench.query.times import duration_us, moment_us

if TYPE_CHECKING:
    from workbench.store import View

Parameters = Sequence[tuple[str, str]]
"""Query string and form fields, in their order."""


def prometheus_response(
    view: View, endpoint: str, parameters: Parameters, *, now_us: int, limits: config.Query
) -> tuple[int, bytes]:
    """Answer one endpoint below `/api/v1/`: HTTP status and JSON body. Never raises for what a caller can send.

    Endpoints: query, query_range, labels, label/<name>/values, series, metadata, format_query, parse_query.
    """
    try:
        data = _data(view, endpoint, parameters, now_us, limits)
    except WorkbenchError as error:
        return error_response(error)
    return 200, orjson.dumps({"status": "success", "data": data})


def error_response(error: WorkbenchError) -> tuple[int, bytes]:
    """The JSON of an error in Prometheus' shape: errorType bad_data, execution, timeout, unavailable, not_found."""
    status, kind = error.status, "execution"
    message = error.message if not error.hint else f"{error.message}. {error.hint}"
    if isinstance(error, QuerySyntaxError):
        status, kind = 400, "bad_data"
        message = f'invalid parameter "query": 1:{error.position + 1}: parse error: {message}'
    elif isinstance(error, InputError):
        kind = "bad_data"
        message = f'invalid parameter "{error.where}": {message}' if error.where else message
    elif isinstance(error, QueryLimit) and "timed out" in error.message:
        status, kind = 503, "timeout"
    elif isinstance(error, StoreError):
        kind = "unavailable"
    return status, orjson.dumps({"status": "error", "errorType": kind, "error": message})


def _data(view: View, endpoint: str, parameters: Parameters, now_us: int, limits: config.Query) -> Any:
    single = dict(parameters)
    if single.get("timeout"):
        asked_seconds = math.ceil(duration_us(single["timeout"], name="timeout") / 1e6)
        limits = replace(limits, timeout_seconds=min(limits.timeout_seconds, asked_seconds))
    if endpoint == "query":
        time_us = moment_us(single.get("time") or now_us / 1e6, now_us)
        return _limited(instant(view, _query(single), time_us, limits=limits).to_prometheus(), single)
    if endpoint == "query_range":
        start_us, end_us = (moment_us(_required(single, name), now_us, name=name) for name in ("start", "end"))
        step_us = duration_us(_required(single, "step"))
        _check_range(start_us, end_us, step_us, limits)
        found = range_query(view, _query(single), start_us, end_us, step_us, limits=limits)
        return _limited(found.to_prometheus(), single)
    if endpoint in ("format_query", "parse_query"):
        return str(parse(_query(single)))
    if endpoint == "metadata":
        return _metadata(view, single)
    index = label_index(view)
    rows = _matched(view, [text for name, text in parameters if name == "match[]"])
    if endpoint == "series":
        if rows is None:
            raise InputError("no match[] parameter provided", where="match[]")
        return _cut([dict(index.rows[row].labels) for row in rows], single)
    if endpoint == "labels":
        names = index.labels() if rows is None else sorted({name for row in rows for name, _ in index.rows[row].labels})
        return _cut(names, single)
    head, _, tail = endpoint.partition("/")
    name, _, last = tail.rpartition("/")
    if head == "label" and last == "values" and name:
        return _cut(index.values(name, rows), single)
    raise InputError(f"there is no endpoint {endpoint!r}")


def _query(single: dict[str, str]) -> str:
    if not single.get("query"):
        raise QuerySyntaxError("no expression found in input", position=0)
    return single["query"]


def _required(single: dict[str, str], name: str) -> str:
    if not single.get(name):
        raise InputError(f"cannot parse {single.get(name, '')!r}", where=name, hint="The parameter is required.")
    return single[name]


def _check_range(start_us: int, end_us: int, step_us: int, limits: config.Query) -> None:
    if end_us < start_us:
        raise InputError("end timestamp must not be before start time", where="end")
    if step_us <= 0:
        raise InputError("zero or negative query resolution step widths are not accepted", where="step")
    if (end_us - start_us) // step_us + 1 > limits.max_steps:
        raise InputError(
            f"exceeded maximum resolution of {limits.max_steps:,} points per timeseries",
            hint="Try decreasing the query resolution (?step=XX)",
        )


def _limited(data: dict[str, Any], single: dict[str, str]) -> dict[str, Any]:
    if data["resultType"] in ("vector", "matrix"):
        data["result"] = _cut(data["result"], single)
    return data


def _cut(found: list[Any], single: dict[str, str]) -> list[Any]:
    limit = single.get("limit") or "0"
    if not limit.isdecimal():
        raise InputError(f"{limit!r} is not a number of results", where="limit")
    return found[: int(limit)] if int(limit) else found


def _matched(view: View, selectors: Iterable[str]) -> np.ndarray | None:
    """Rows that any of the selectors matches; None where there are none."""
    index = label_index(view)
    found = []
    for text in selectors:
        node = parse(text)
        if not isinstance(node, nodes.Selector):
            raise InputError(f"{text!r} is not a series selector", where="match[]")
        found.append(index.select(node.matchers))
    return np.unique(np.concatenate(found)) if found else None


def _metadata(view: View, single: dict[str, str]) -> dict[str, Any]:
    index = label_index(view)
    wanted = single.get("metric")
    names = _cut([name for name in index.families() if not wanted or name == wanted], single)
    known: Callable[[str], tuple[str, str, str]] = index.metadata
    return {name: [dict(zip(("type", "unit", "help"), known(name), strict=True))] for name in names}
