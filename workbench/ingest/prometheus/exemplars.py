"""Exemplars of remote write. Prometheus sends them beside the samples, as series that hold exemplars alone."""

from __future__ import annotations

from typing import Any

from workbench.ingest.points import EXEMPLAR_ONLY, Member, OddPoint
from workbench.ingest.refusals import Refusal

MAX_LABEL_BYTES = 1024
"""Of all labels of one exemplar together; OpenMetrics and Prometheus stop at 128 characters."""

_LINKS = ("trace_id", "span_id")


def exemplar_point(exemplar: Any, members: list[Member] | Refusal) -> OddPoint:
    """A point that holds an exemplar and no measurement (`exemplar` is a prompb Exemplar); its group is set later."""
    labels = {label.name: label.value for label in exemplar.labels}
    if sum(len(name) + len(value) for name, value in labels.items()) > MAX_LABEL_BYTES:
        return OddPoint(0, Refusal("label_too_long", where="an exemplar"), [])
    found = {
        "time": exemplar.timestamp * 1000,
        "value": exemplar.value,
        **{name: labels.pop(name, "") for name in _LINKS},
        "attributes": sorted(labels.items()),
    }
    return OddPoint(0, members, [EXEMPLAR_ONLY], exemplar=found)
