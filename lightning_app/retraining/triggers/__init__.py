"""Triggers: what begins a cycle of retraining."""

from lightning_app.retraining.triggers.due import Trigger, due
from lightning_app.retraining.triggers.facts import ChampionFacts, TriggerFacts
from lightning_app.retraining.triggers.gather import gather

__all__ = ["ChampionFacts", "Trigger", "TriggerFacts", "due", "gather"]
