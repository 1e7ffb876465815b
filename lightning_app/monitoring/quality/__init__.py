"""Live quality: metrics of late outcomes, delays of outcomes, and what metrics are expected before outcomes come."""

from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.model_facts import ModelFacts, model_facts
from lightning_app.monitoring.quality.quality import delays_of, quality_results
from lightning_app.monitoring.quality.settled import settled_outcomes

__all__ = ["DelayModel", "ModelFacts", "delays_of", "model_facts", "quality_results", "settled_outcomes"]
