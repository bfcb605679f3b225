"""The company behind the platform: who buys, what is made, which models are called, how much of each."""

from __future__ import annotations

from dataclasses import dataclass

DAY_SECONDS = 86_400
MONTH_SECONDS = 30 * DAY_SECONDS

REQUESTS_PER_SECOND = 3.0
CALLS_PER_SECOND = 0.64
ITEMS_PER_SECOND = 10_000 / DAY_SECONDS

DOMAINS = {"mathematics": 0.34, "science": 0.20, "technology": 0.18, "reading": 0.13, "engineering": 0.09, "arts": 0.06}
"""STREAM domains and their shares of the content."""
SEGMENTS = {"teacher": 0.42, "student": 0.27, "school": 0.18, "publisher": 0.05, "integration": 0.08}
"""Segments and their shares of the users."""
PLANS = {"default": 0.80, "premium": 0.18, "enterprise": 0.02}
"""Plans and their shares of the users."""


@dataclass(frozen=True)
class Model:
    """A language model: who provides it, its share of the calls, what a call takes and costs, which role calls it."""

    name: str
    provider: str
    share: float
    median_seconds: float
    dollars_per_call: float
    role: str


MODELS = (
    Model("gpt-4o-mini", "openai", 0.45, 1.5, 0.0003, "checker"),
    Model("gpt-4.1-mini", "openai", 0.35, 1.8, 0.0008, "engineer"),
    Model("gemini-2.5-pro", "gcp.gemini", 0.12, 3.2, 0.0060, "judge"),
    Model("o4-mini", "openai", 0.08, 4.0, 0.0022, "target"),
)
