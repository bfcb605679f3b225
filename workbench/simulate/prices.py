"""What a token costs, by model: the prices that cost counters, usage rows and cost lines all follow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """US dollars for 1,000 tokens sent and received; `rise` is the relative change while a `price_change` holds."""

    input_per_1k: float
    output_per_1k: float
    rise: float = 0.5

    def per_token(self, kind: str) -> float:
        """US dollars for one token of `gen_ai.token.type` input or output."""
        return (self.input_per_1k if kind == "input" else self.output_per_1k) / 1000


PRICES = {
    "gpt-4o-mini": Price(0.00015, 0.0006),
    "gpt-4.1-mini": Price(0.0004, 0.0016),
    "gemini-2.5-pro": Price(0.0025, 0.015),
    "o4-mini": Price(0.0011, 0.0044),
    "sonar-pro": Price(0.01, 0.03),
}
