"""Scores of features: how much each is worth, and whether it is kept."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A feature with its score.

    Attributes:
        name: Full name, `view.feature`.
        score: The larger, the better; its unit is that of the method.
        kept: Whether it is among the best.
        reason: Why it is not kept; "" if it is.
    """

    name: str
    score: float
    kept: bool
    reason: str
