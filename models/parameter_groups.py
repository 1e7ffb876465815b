"""Parameter groups with different weight decays or learning rates."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class ScaledRates(Protocol):
    """A part of a model whose parameters learn at rates of their own."""

    def lr_scales(self) -> dict[nn.Parameter, float]:
        """Learning rate of each of its parameters over that of the optimizer."""


@runtime_checkable
class UndecayedParameters(Protocol):
    """A part of a model with parameters that should not decay, such as biases and scales of norms."""

    def undecayed_parameters(self) -> Iterable[nn.Parameter]:
        """Those of its parameters that have weight decay 0."""


def groups_of_parts(module: nn.Module) -> list[nn.Parameter] | list[dict[str, Any]]:
    """Groups trainable parameters by what the parts of a module say about their learning rate and weight decay.

    Args:
        module: Owner of the parameters; its parts may be `ScaledRates` or have `UndecayedParameters`.

    Returns:
        The plain parameters if the optimizer's options are those of all, else groups with the options `lr_scale`, see
        `BaseModule.parameters_to_train`, and `weight_decay`.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    scales: dict[nn.Parameter, float] = {}
    undecayed: set[nn.Parameter] = set()
    for part in module.modules():
        if isinstance(part, ScaledRates):
            scales |= part.lr_scales()
        if isinstance(part, UndecayedParameters):
            undecayed.update(part.undecayed_parameters())
    groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for parameter in trained:
        groups[scales.get(parameter, 1.0), parameter in undecayed].append(parameter)
    if set(groups) <= {(1.0, False)}:
        return trained
    return [
        {"params": groups[scale, without]}
        | ({} if scale == 1.0 else {"lr_scale": scale})
        | ({"weight_decay": 0.0} if without else {})
        for scale, without in sorted(groups)
    ]


def decay_by_prefix(module: nn.Module, weight_decay: Mapping[str, float]) -> list[nn.Parameter] | list[dict[str, Any]]:
    """Groups parameters by their weight decay, for an optimizer.

    Args:
        module: Owner of the parameters.
        weight_decay: Weight decay by prefix of parameter names, e.g. `encoder.layers.0`; the longest prefix wins.
            Parameters that match none use the optimizer's default.

    Returns:
        Parameter groups, or the plain parameters if `weight_decay` is empty.

    Raises:
        ValueError: A prefix matches no parameter.
    """
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not weight_decay:
        return list(trained.values())
    for prefix in weight_decay:
        if not any(_belongs(name, prefix) for name in trained):
            raise ValueError(f"model.weight_decay: no parameter belongs to {prefix!r}, there are {', '.join(trained)}")
    groups: dict[str | None, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in trained.items():
        groups[max((prefix for prefix in weight_decay if _belongs(name, prefix)), key=len, default=None)].append(
            parameter
        )
    return [
        {"params": parameters} if prefix is None else {"params": parameters, "weight_decay": weight_decay[prefix]}
        for prefix, parameters in groups.items()
    ]


def _belongs(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")
