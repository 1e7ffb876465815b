"""Parameter groups with different weight decays."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from torch import nn


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
