"""Facts of a model that the command asks for; of a LightningModule that is no `BaseModule`, as far as it has them."""

from lightning.pytorch import LightningModule

from models import BaseModule


def monitor_of(model: LightningModule) -> str | None:
    """The metric that picks the best checkpoint, lower is better; None where the model names none."""
    monitor = getattr(model, "monitor", None)
    return monitor if isinstance(monitor, str) else None


def untrained_margin_of(model: LightningModule) -> float:
    """Share by which training must lower the metric, see `BaseModule.untrained_margin`."""
    return model.untrained_margin if isinstance(model, BaseModule) else 0.0


def num_fitted_of(model: LightningModule) -> int:
    """Numbers that `fit` finds."""
    if isinstance(model, BaseModule):
        return model.num_fitted
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
