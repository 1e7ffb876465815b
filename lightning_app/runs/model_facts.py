"""Model attributes that commands read, with defaults for a LightningModule that is no `BaseModule`."""

from typing import Literal

from lightning.pytorch import LightningModule

from models import BaseModule


def monitor_of(model: LightningModule) -> str | None:
    """Metric that selects the best checkpoint; None if the model names none."""
    monitor = getattr(model, "monitor", None)
    return monitor if isinstance(monitor, str) else None


def monitor_mode_of(model: LightningModule | type[LightningModule]) -> Literal["min", "max"]:
    """Whether a low or a high value of that metric is better."""
    return "max" if getattr(model, "monitor_mode", "min") == "max" else "min"


def untrained_margin_of(model: LightningModule) -> float:
    """Fraction by which training must lower the metric, see `BaseModule.untrained_margin`; 0 for other modules."""
    return model.untrained_margin if isinstance(model, BaseModule) else 0.0


def num_fitted_of(model: LightningModule) -> int:
    """Number of fitted parameters."""
    if isinstance(model, BaseModule):
        return model.num_fitted
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
