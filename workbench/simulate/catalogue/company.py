"""The company behind the platform: who buys, what is made, which models are called, how much of each."""

from __future__ import annotations

from dataclasses import dataclass

DAY_SECONDS = 86_400
MONTH_SECONDS = 30 * DAY_SECONDS

REQUESTS_PER_SECOND = 3.0
CALLS_PER_SECOND = 0.64
ITEMS_PER_SECOND = 10_000 / DAY_SECONDS
SIGNINS_PER_SECOND = 0.1
ROUNDS_PER_SECOND = ITEMS_PER_SECOND

DOMAINS = {"mathematics": 0.34, "science": 0.20, "technology": 0.18, "reading": 0.13, "engineering": 0.09, "arts": 0.06}
"""STREAM domains and their shares of the content."""
SEGMENTS = {"teacher": 0.42, "student": 0.27, "school": 0.18, "publisher": 0.05, "integration": 0.08}
"""Segments and their shares of the users."""
PLANS = {"default": 0.80, "premium": 0.18, "enterprise": 0.02}
"""Plans and their shares of the users."""
FEATURES = {
    "generate": 0.24,
    "review": 0.20,
    "analytics": 0.12,
    "share": 0.10,
    "search": 0.10,
    "export": 0.06,
    "templates": 0.06,
    "comments": 0.05,
    "settings": 0.04,
    "lms_sync": 0.03,
}
"""Features and their shares of the uses."""
PAGES = ("home", "editor", "library", "reports", "account")


@dataclass(frozen=True)
class Model:
    """A language model: who provides it, its share of the calls, its median duration, the roles that call it."""

    name: str
    provider: str
    share: float
    median_seconds: float
    roles: tuple[tuple[str, float], ...]


MODELS = (
    Model("gpt-4o-mini", "openai", 0.445, 1.5, (("checker", 0.8), ("tracer", 0.2))),
    Model("gpt-4.1-mini", "openai", 0.35, 1.8, (("engineer", 0.85), ("optimizer", 0.15))),
    Model("gemini-2.5-pro", "gcp.gemini", 0.12, 3.2, (("judge", 1.0),)),
    Model("o4-mini", "openai", 0.08, 4.0, (("target", 1.0),)),
    Model("sonar-pro", "perplexity", 0.005, 2.6, (("search", 1.0),)),
)
SLOWABLE = tuple(model.name for model in MODELS[:4])
"""Models that are called often enough for a slow one to be seen."""
INPUT_TOKENS = (860.0, 1.0)
"""Median and log-sd of the tokens that a call sends; they do not depend on what it receives."""
OUTPUT_TOKENS = (140.0, 0.85)
"""Median and log-sd of the tokens that a call receives."""
