"""How the events of the sources fall into the columns of the metrics: by share, by bucket, and priced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.simulate.metric import Metric, Reaction, Source
from workbench.simulate.prices import PRICES

Strengths = Mapping[str, np.ndarray]

SURGE = "surge"
SURGE_GAIN = 2.0
"""In a surge everything that follows the traffic is three times as much."""


class Columns:
    """The columns of a list of counters and histograms, each with its metric and its source.

    `signals` are those that change what is counted; `priced` the rows of the counters of cost.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self.sources: list[Source] = list(dict.fromkeys(one.source for one in metrics if one.source is not None))
        numbers = {source: row for row, source in enumerate(self.sources)}
        if len({source.key for source in self.sources}) < len(self.sources):
            raise ValueError("two sources of one key differ")
        self.source_of = np.array([numbers[metric.source] if metric.source else 0 for metric in metrics])
        widths = [len(metric.bounds) + 1 for metric in metrics]
        self.count = sum(widths)
        self.owner = np.repeat(np.arange(len(metrics)), widths)
        self.slices = [slice(end - width, end) for end, width in zip(np.cumsum(widths), widths, strict=True)]
        self.dispersion = np.array([source.dispersion for source in self.sources])
        self.normal = np.array([metric.normal for metric in metrics])
        self.spread = np.array([metric.spread for metric in metrics])
        self.middles = np.array([metric.centre if metric.normal else np.log(metric.centre) for metric in metrics])
        self._shares = np.array([metric.share for metric in metrics])
        scaled = [np.array(m.bounds) if m.normal else np.log(m.bounds) if m.bounds else np.array([]) for m in metrics]
        self._upper = np.concatenate([[*bounds, np.inf] for bounds in scaled])
        self._bounded = np.flatnonzero(np.isfinite(self._upper))
        self._follows = self._bounded + 1  # columns with another of the same metric before them
        self._prepare_reactions()
        self._prepare_prices()

    def _prepare_reactions(self) -> None:
        found = [(row, one) for row, metric in enumerate(self.metrics) for one in metric.reacts]
        self._reactions = {
            on: [(row, one) for row, one in found if one.on == on] for on in ("amount", "value", "spread")
        }
        self._sourced = [(row, one) for row, source in enumerate(self.sources) for one in source.reacts]
        self._surging = np.array([one.elasticity * (one.drive == "traffic") for one in self.sources])
        prices = {f"price:{model}" for model in PRICES}
        self.signals = {one.signal for _, one in (*found, *self._sourced)} | {SURGE} | prices

    def _prepare_prices(self) -> None:
        costs = [(row, metric) for row, metric in enumerate(self.metrics) if metric.priced]
        self.priced = np.array([self.slices[row].start for row, _ in costs], np.int64)
        self._priced_metrics = np.array([row for row, _ in costs], np.int64)
        self._quanta = np.array([metric.quantum for _, metric in costs])[:, None]
        models = sorted({metric.priced for _, metric in costs})
        self._model_of = np.array([models.index(metric.priced) for _, metric in costs], np.int64)
        self._priced: list[tuple[str, np.ndarray, np.ndarray]] = []  # model, columns of its tokens, dollars for each
        for model in models:
            tokens = [
                (np.arange(where.start, where.stop), bucket_means(metric) * PRICES[model].per_token(kind))
                for metric, where in zip(self.metrics, self.slices, strict=True)
                for kind in ("input", "output")
                if metric.name == "gen_ai.client.token.usage"
                and {("gen_ai.request.model", model), ("gen_ai.token.type", kind)} <= set(metric.attributes)
            ]
            places, dollars = (np.concatenate(one) for one in zip(*tokens, strict=True))
            self._priced.append((model, places, dollars))

    def counted(self, events: np.ndarray, centres: np.ndarray, strengths: Strengths) -> np.ndarray:
        """Events [column, time] from those of the sources; `centres` is [metric, time or 1]. Priced rows are left 0."""
        times = events.shape[1]
        amounts = events
        if SURGE in strengths:
            amounts = amounts * (1 + SURGE_GAIN * strengths[SURGE]) ** self._surging[:, None]
        factors = _reacting(self._sourced, strengths, np.ones(len(self.sources)), times)
        shares = _reacting(self._reactions["amount"], strengths, self._shares, times)
        amounts = (amounts * factors)[self.source_of] * np.maximum(shares, 0.0)
        return np.asarray(amounts[self.owner] * self._fractions(centres, strengths))

    def prices(self, increments: np.ndarray, strengths: Strengths) -> np.ndarray:
        """Cost [priced row, time] in quanta, of the tokens in `increments`; a change of price holds at its time."""
        times = increments.shape[1]
        shares = _reacting(self._reactions["amount"], strengths, self._shares, times)[self._priced_metrics]
        dollars = np.empty((len(self._priced), times))
        for row, (model, places, each) in enumerate(self._priced):
            dollars[row] = (increments[places] * each[:, None]).sum(axis=0)
            if f"price:{model}" in strengths:
                dollars[row] *= 1 + PRICES[model].rise * strengths[f"price:{model}"]
        return np.asarray(dollars[self._model_of] * shares / self._quanta)

    def _fractions(self, centres: np.ndarray, strengths: Strengths) -> np.ndarray:
        """Share [column, time or 1] of a metric's events in each column; incidents shift or widen the values."""
        moving = {row for on in ("value", "spread") for row, one in self._reactions[on] if one.signal in strengths}
        spread = self.spread[:, None]
        if moving:
            times = len(next(iter(strengths.values())))
            centres, spread = (np.repeat(one, times // one.shape[1], axis=1) for one in (centres, spread))
            for row, one in self._reactions["value"]:
                if one.signal in strengths:
                    shift = one.gain * strengths[one.signal]
                    centres[row] += shift if self.normal[row] else np.log1p(shift)
            for row, one in self._reactions["spread"]:
                if one.signal in strengths:
                    spread[row] *= 1 + one.gain * strengths[one.signal]
        owner = self.owner[self._bounded]
        below = np.ones((self.count, centres.shape[1]))  # share of the values below each column's upper bound
        below[self._bounded] = normal_cdf((self._upper[self._bounded][:, None] - centres[owner]) / spread[owner])
        fractions = below.copy()
        fractions[self._follows] -= below[self._follows - 1]
        fractions[self.priced] = 0.0
        return fractions


def _reacting(
    reactions: Sequence[tuple[int, Reaction]], strengths: Strengths, base: np.ndarray, times: int
) -> np.ndarray:
    """`base` [row] at each time, or as one column where nothing moves it."""
    moving = [(row, one) for row, one in reactions if one.signal in strengths]
    if not moving:
        return base[:, None]
    found = np.repeat(base[:, None], times, axis=1)
    for row, one in moving:
        found[row] += one.gain * strengths[one.signal]
    return found


def bucket_means(metric: Metric) -> np.ndarray:
    """Mean value inside each bucket of a histogram, so that its sum follows from its counts."""
    edges = np.array([-np.inf, *(metric.bounds if metric.normal else np.log(metric.bounds)), np.inf])
    fine = np.linspace(-5, 5, 4001) * metric.spread + (metric.centre if metric.normal else np.log(metric.centre))
    weights = np.exp(-0.5 * np.linspace(-5, 5, 4001) ** 2)
    values = np.clip(fine, metric.low, metric.high) if metric.normal else np.exp(fine)
    number = np.searchsorted(edges, fine, side="left") - 1
    mass = np.bincount(number, weights, len(edges) - 1)
    total = np.bincount(number, weights * values, len(edges) - 1)
    # A bucket that lies outside of the distribution is met only in an incident: there the bound nearest to it holds.
    nearest = np.array([metric.bounds[0], *metric.bounds[1:], metric.bounds[-1]])
    return np.where(mass > 0, total / np.maximum(mass, 1e-300), nearest)


def normal_cdf(z: np.ndarray) -> np.ndarray:
    """Standard normal distribution function by Page's approximation (1977), within 2e-4: nobody can see the rest."""
    z = np.clip(z, -8, 8)
    return np.asarray(0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))))
