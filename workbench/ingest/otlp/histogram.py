"""Which series an explicit-bucket histogram or a summary becomes: buckets or quantiles, count and sum."""

from __future__ import annotations

import math

import numpy as np

from workbench.ingest.otlp.context import MetricContext
from workbench.ingest.otlp.values import Pairs
from workbench.ingest.points import Member
from workbench.ingest.refusals import Refusal


def histogram_members(
    context: MetricContext, attributes: Pairs, bounds: np.ndarray, *, has_sum: bool
) -> list[Member] | Refusal:
    """Buckets by rising upper bound with +Inf last, then count, then sum where there is one."""
    if not np.isfinite(bounds).all() or not (np.diff(bounds) > 0).all():
        return Refusal("bad_histogram", where=f"bounds of {context.name}")
    members = [context.member(attributes, "bucket", bound) for bound in [*bounds.tolist(), math.inf]]
    members.append(context.member(attributes, "count"))
    if has_sum:
        members.append(context.member(attributes, "sum"))
    return members


def summary_members(context: MetricContext, attributes: Pairs, quantiles: list[float]) -> list[Member] | Refusal:
    """A series per quantile, then count and sum."""
    if len(set(quantiles)) != len(quantiles) or not all(0 <= quantile <= 1 for quantile in quantiles):
        return Refusal("bad_histogram", where=f"quantiles of {context.name}")
    members = [context.member(attributes, "quantile", quantile) for quantile in quantiles]
    return [*members, context.member(attributes, "count"), context.member(attributes, "sum")]
