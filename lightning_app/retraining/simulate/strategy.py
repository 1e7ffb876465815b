"""Strategy: when a replay fits a model, and whether the model has to pass the gate."""

from typing import Literal

from msgspec import Struct

from lightning_app.drift.streaming import Adwin, Detector, GlrDetector, PageHinkley
from lightning_app.retraining.config.policy import RetrainPolicy

DetectorName = Literal["none", "adwin", "page_hinkley", "glr"]


class Strategy(Struct, frozen=True, kw_only=True):
    """How a replay retrains.

    Attributes:
        name: Its name.
        policy: What is trained on, and triggers, limits and gate where `follows_policy`.
        period: Seconds between fits; None does not fit by the clock.
        follows_policy: Whether triggers, limits and the gate of the policy count.
        detector: What watches the errors, and begins a cycle at a change.
        gated: Whether a candidate has to pass the gate of the policy.
    """

    name: str
    policy: RetrainPolicy
    period: float | None = None
    follows_policy: bool = False
    detector: DetectorName = "none"
    gated: bool = True


def new_detector(name: DetectorName) -> Detector | None:
    """A detector without state; None for none.

    Args:
        name: Its name.
    """
    if name == "adwin":
        return Adwin()
    if name == "page_hinkley":
        return PageHinkley()
    return GlrDetector() if name == "glr" else None
