"""Cost lines (FOCUS 1.2): what a day cost, as its provider bills it at 6 h UTC on the next.

Lines of language models follow the counters of tokens and cost; those of the infrastructure add up to $1,500 a month.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.schema import KINDS
from workbench.simulate.catalogue.company import DOMAINS, MODELS, Model
from workbench.simulate.catalogue.models import model_pairs
from workbench.simulate.grid import BILLS, CELLS, generator
from workbench.simulate.metric import HOSTS
from workbench.simulate.platform import Platform
from workbench.simulate.prices import PRICES
from workbench.simulate.rows.counts import Cell
from workbench.simulate.shapes import DAY_US, SECOND_US

BILLED_AFTER_CELLS = CELLS // 4
ISSUERS = {"openai": "OpenAI", "gcp.gemini": "Google", "perplexity": "Perplexity"}
# service: (category, unit, quantity a day, dollars a day, the component that it is tagged with)
INFRASTRUCTURE = {
    "Virtual machines": ("Compute", "Hours", 72.0, 21.0, "orchestrator"),
    "GPU machines": ("Compute", "Hours", 24.0, 14.0, "marl_coordinator"),
    "Managed PostgreSQL": ("Databases", "Hours", 24.0, 7.0, "api_gateway"),
    "Object storage": ("Storage", "GB-Days", 600.0, 3.0, "orchestrator"),
    "Traffic": ("Networking", "GB", 280.0, 5.0, "api_gateway"),
}
VENDOR = "Example Cloud"


def add_bills(cell: Cell, rows: list[dict[str, Any]]) -> None:
    """The lines that are billed in a cell: those of the day before, at six in the morning."""
    if cell.place % CELLS == BILLED_AFTER_CELLS:
        rows += day_lines(cell.platform, cell.place // CELLS - 1)


def cost_table(rows: list[dict[str, Any]]) -> pa.Table:
    """As a table of `costs`."""
    return pa.Table.from_pylist(rows, schema=KINDS["costs"].schema)


def day_lines(platform: Platform, number: int) -> list[dict[str, Any]]:
    """All cost lines of a day (its number since 1970)."""
    lines = [line for model in MODELS for line in _model_lines(platform, number, model)]
    random = generator(platform.seed, BILLS, number)
    for service, (category, unit, quantity, dollars, component) in INFRASTRUCTURE.items():
        moved = float(np.exp(0.03 * random.standard_normal()))
        facts = {"unit": unit, "quantity": quantity * moved, "sku": service.lower().replace(" ", "-"), "issuer": VENDOR}
        tags = {"service.name": component, "cost_center": "platform", "host": HOSTS[component]}
        lines.append(_line(number, service, category, dollars * moved, facts, tags))
    return lines


def _model_lines(platform: Platform, number: int, model: Model) -> Iterator[dict[str, Any]]:
    """By type of token and domain: tokens times price, divided over the domains as the counters of cost are."""
    risen = platform.schedule.strengths(np.array([number * DAY_US + DAY_US // 2])).get(f"price:{model.name}")
    price = PRICES[model.name]
    tokens = {}
    for kind in ("input", "output"):
        at = model_pairs(model, **{"gen_ai.token.type": kind})
        tokens[kind] = platform.day_sum(number, "gen_ai.client.token.usage", at)
    worth = {kind: tokens[kind] * price.per_token(kind) for kind in tokens}
    for domain in DOMAINS:
        spent = sum(
            platform.day_sum(
                number, "synth.llm.cost", model_pairs(model, **{"synth.domain": domain, "synth.role": role})
            )
            for role, _ in model.roles
        )
        for kind, dollars in worth.items():
            share = spent / sum(worth.values()) if sum(worth.values()) else 0.0
            rise = 1 + price.rise * float(risen[0]) if risen is not None else 1.0
            facts = {
                "unit": "Tokens",
                "quantity": tokens[kind] * share / rise,
                "sku": f"{model.name}/{kind}",
                "issuer": ISSUERS[model.provider],
            }
            tags = {"service.name": "orchestrator", "synth.domain": domain, "cost_center": "content"}
            yield _line(number, f"{model.name} API", "AI and Machine Learning", dollars * share, facts, tags)


def _line(
    number: int, service: str, category: str, dollars: float, facts: dict[str, Any], tags: dict[str, str]
) -> dict[str, Any]:
    start = dt.datetime.fromtimestamp(number * DAY_US / SECOND_US, dt.UTC)
    month = start.replace(day=1)
    following = (month + dt.timedelta(days=32)).replace(day=1)
    cost = round(dollars, 6)
    focus = {
        "BillingAccountId": "simulated",
        "BillingAccountName": "Simulated company",
        "BillingPeriodStart": month.isoformat(),
        "BillingPeriodEnd": following.isoformat(),
        "ChargeDescription": f"{service}, {facts['sku']}",
        "ConsumedQuantity": f"{facts['quantity']:.6g}",
        "ConsumedUnit": facts["unit"],
        "ContractedCost": str(cost),
        "InvoiceIssuerName": facts["issuer"],
        "ListCost": str(cost),
        "PricingQuantity": f"{facts['quantity']:.6g}",
        "PricingUnit": facts["unit"],
        "ProviderName": facts["issuer"],
        "PublisherName": facts["issuer"],
        "SkuId": facts["sku"],
    }
    return {
        "charge_period_start": number * DAY_US,
        "charge_period_end": (number + 1) * DAY_US,
        "service_name": service,
        "service_category": category,
        "charge_category": "Usage",
        "billed_cost": cost,
        "effective_cost": cost,
        "billing_currency": "USD",
        "tags": sorted({**tags, "deployment.environment.name": "simulated"}.items()),
        "focus": sorted(focus.items()),
        "hash": f"sim-{number}-{facts['sku']}-{tags.get('synth.domain', 'all')}",
    }
