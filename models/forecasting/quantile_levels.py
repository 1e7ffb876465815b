"""Quantile levels of a forecaster: declared by the network or the loss, and consistent between them."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.loss import _Loss


def levels_of(part: nn.Module, *, key: str) -> tuple[float, ...] | None:
    """Reads the quantile levels that a network or a loss declares in its attribute `quantiles`; None without it.

    Args:
        part: The network or the loss.
        key: Its key in a config.

    Raises:
        ValueError: They do not ascend between 0 and 1, or lack 0.5, which is the point forecast.
    """
    declared: Any = getattr(part, "quantiles", None)
    if declared is None or not isinstance(declared, Iterable) or not len(declared):  # type: ignore[arg-type]
        return None
    levels = tuple(round(float(level), 6) for level in declared)
    if sorted(set(levels)) != list(levels) or not 0 < levels[0] <= levels[-1] < 1:
        raise ValueError(f"{key}.quantiles: {list(levels)} given, allowed are ascending levels between 0 and 1")
    if 0.5 not in levels:
        raise ValueError(f"{key}.quantiles: {list(levels)} given, 0.5 is needed too: it is the point forecast")
    return levels


def forecast_levels(*, network: nn.Module, loss: nn.Module) -> tuple[float, ...] | None:
    """Quantile levels of a forecaster; None for point forecasts.

    Args:
        network: Lists its levels in `quantiles`, or leaves them to the loss.
        loss: Lists its levels in `quantiles`, if it needs any.

    Raises:
        ValueError: Their levels differ, or the loss does not support quantiles.
    """
    by_network = levels_of(network, key="model.network")
    by_loss = levels_of(loss, key="model.loss")
    names = type(network).__name__, type(loss).__name__
    if by_network is not None and by_loss is not None and by_network != by_loss:
        raise ValueError(
            f"model.loss.quantiles: {names[1]} has {list(by_loss)}, but {names[0]} forecasts {list(by_network)} "
            "(model.network.quantiles); set one to the other"
        )
    if by_network is None and by_loss is not None and hasattr(network, "quantiles"):
        raise ValueError(
            f"model.network.quantiles: {names[0]} forecasts none, but {names[1]} has {list(by_loss)} "
            "(model.loss.quantiles); set one to the other, or choose another loss"
        )
    if by_network is not None and by_loss is None and isinstance(loss, _Loss):
        raise ValueError(
            f"model.loss: {names[1]} compares one value per step, but {names[0]} forecasts the quantiles "
            f"{list(by_network)}; choose PinballLoss with the same quantiles, or none for the network"
        )
    return by_network or by_loss
