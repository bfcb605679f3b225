"""Prometheus' HTTP API as pure functions: parameters in, status and JSON out. `serve` mounts them.

Shapes and texts are those of Prometheus' documentation, "HTTP API"; what Prometheus clients read works here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from workbench import config
from workbench.errors import (
    Busy,
    InputError,
    QueryCanceled,
    QueryLimit,
    QuerySyntaxError,
    StoreError,
    WorkbenchError,
)
from workbench.query.endpoints.asked import Asked, Parameters
from workbench.query.endpoints.exemplars import query_exemplars
from workbench.query.endpoints.federate import PLAIN, federate
from workbench.query.endpoints.labels import label_values, labels, metadata, series
from workbench.query.endpoints.remote_read import remote_read
from workbench.query.endpoints.syntax_tree import syntax_tree
from workbench.query.evaluate import instant, range_query
from workbench.query.evaluate.limits import never, query_budget
from workbench.query.promql import parse
from workbench.query.times import duration_us

if TYPE_CHECKING:
    from workbench.query.result import Result
    from workbench.store import View

_NOTHING: Mapping[str, tuple[str, str, str]] = {}

Canceled = Callable[[], bool]
"""Whether nobody waits for the answer any more."""


def prometheus_response(
    view: View,
    endpoint: str,
    parameters: Parameters,
    *,
    now_us: int,
    limits: config.Query,
    canceled: Canceled = never,
    told: Mapping[str, tuple[str, str, str]] = _NOTHING,
) -> tuple[int, bytes]:
    """Answer one endpoint below `/api/v1/`: HTTP status and JSON body. Never raises for what a caller can send.

    Endpoints: query, query_range, labels, label/<name>/values, series, metadata, query_exemplars, format_query,
    parse_query. `told` is what senders said of metrics beside their samples: name -> type, unit, help.
    """
    try:
        call = _Call(view, Asked(parameters, now_us), limits, canceled, told)
        data, warnings, infos = call.answer(endpoint)
    except WorkbenchError as error:
        return error_response(error)
    body = {"status": "success", "data": data}
    return 200, orjson.dumps(body | {name: said for name, said in (("warnings", warnings), ("infos", infos)) if said})


def federate_response(
    view: View, parameters: Parameters, accept: str, *, now_us: int, limits: config.Query, canceled: Canceled = never
) -> tuple[int, str, bytes]:
    """Answer `/federate`: status, media type and body; what is wrong is said in plain text, as Prometheus does."""
    try:
        budget = query_budget(limits, canceled)
        return 200, *federate(view, Asked(parameters, now_us), accept, limits, budget)
    except WorkbenchError as error:
        return error.status, PLAIN, f"{error}\n".encode()


def read_response(
    view: View, body: bytes, *, limits: config.Query, canceled: Canceled = never
) -> tuple[int, str, bytes]:
    """Answer `/api/v1/read`: status, media type and a snappy block; what is wrong is said in plain text."""
    try:
        return 200, "application/x-protobuf", remote_read(view, body, query_budget(limits, canceled))
    except WorkbenchError as error:
        return error.status, PLAIN, f"{error}\n".encode()


def error_response(error: WorkbenchError) -> tuple[int, bytes]:
    """The JSON of an error in Prometheus' shape: errorType bad_data, execution, timeout, canceled, unavailable."""
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
    elif isinstance(error, QueryCanceled):
        kind = "canceled"
    elif isinstance(error, StoreError):
        kind = "unavailable"
    elif isinstance(error, Busy):
        status, kind = 503, "unavailable"
    return status, orjson.dumps({"status": "error", "errorType": kind, "error": message})


@dataclass(frozen=True)
class _Call:
    """One call of the API."""

    view: View
    asked: Asked
    limits: config.Query
    canceled: Canceled
    told: Mapping[str, tuple[str, str, str]]

    def answer(self, endpoint: str) -> tuple[Any, list[str], list[str]]:
        """`data`, `warnings` and `infos`."""
        if endpoint in ("query", "query_range"):
            return self._query(endpoint)
        return *self._look_up(endpoint), []

    def _look_up(self, endpoint: str) -> tuple[Any, list[str]]:
        if endpoint == "format_query":
            return str(parse(self.asked.expression())), []
        if endpoint == "parse_query":
            return syntax_tree(parse(self.asked.expression())), []
        if endpoint == "metadata":
            return metadata(self.view, self.asked, self.told), []
        budget = query_budget(self.limits, self.canceled)
        if endpoint == "query_exemplars":
            return query_exemplars(self.view, self.asked, budget), []
        if endpoint == "series":
            return series(self.view, self.asked, budget)
        if endpoint == "labels":
            return labels(self.view, self.asked, budget)
        head, _, tail = endpoint.partition("/")
        name, _, last = tail.rpartition("/")
        if head == "label" and last == "values" and name:
            return label_values(self.view, self.asked, name, budget)
        raise InputError(f"there is no endpoint {endpoint!r}")

    def _query(self, endpoint: str) -> tuple[dict[str, Any], list[str], list[str]]:
        asked, limits = self.asked, self._limits()
        begun = time.monotonic()
        if endpoint == "query":
            time_us = asked.time_us("time", asked.now_us)
            found = instant(self.view, asked.expression(), time_us, limits=limits, canceled=self.canceled)
        else:
            start_us, end_us = asked.time_us("start"), asked.time_us("end")
            step_us = duration_us(asked.required("step"))
            _check_range(start_us, end_us, step_us, limits)
            found = range_query(
                self.view, asked.expression(), start_us, end_us, step_us, limits=limits, canceled=self.canceled
            )
        data, warnings = found.to_prometheus(encoded=True), list(found.warnings)
        if data["resultType"] in ("vector", "matrix"):
            data["result"], truncated = asked.cut(data["result"])
            warnings += truncated
        if asked.get("stats"):
            data["stats"] = _stats(found, time.monotonic() - begun)
        return data, warnings, list(found.infos)

    def _limits(self) -> config.Query:
        """The limits in force, tightened by what the caller asks for."""
        limits = self.limits
        if self.asked.get("timeout"):
            asked_seconds = math.ceil(duration_us(self.asked.get("timeout"), name="timeout") / 1e6)
            limits = replace(limits, timeout_seconds=min(limits.timeout_seconds, asked_seconds))
        lookback_us = self.asked.duration_us("lookback_delta")
        return limits if lookback_us is None else replace(limits, lookback_seconds=lookback_us / 1e6)


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


def _stats(found: Result, seconds: float) -> dict[str, Any]:
    """Prometheus' statistics, as far as they mean something here: nodes are evaluated for all steps at once."""
    timings = {"evalTotalTime": seconds, "execTotalTime": seconds}
    samples = {"totalQueryableSamples": found.samples, "peakSamples": found.samples}
    return {"timings": timings, "samples": samples}
