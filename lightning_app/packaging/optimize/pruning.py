"""Structured pruning: whole hidden features and attention heads are taken out, so that the matrices are smaller."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_app.errors import UsageError
from models import BaseModule, PatchTransformer, PhaseTransformer
from models.base import Batch

_ROUND = 8
"""Hidden features stay a multiple of it, which vector units like."""


@dataclass(frozen=True)
class Sites:
    """Where a network can be pruned, by names of its modules.

    Attributes:
        feed_forwards: First and second linear layer of each feed-forward network.
        attentions: Each multi-head attention.
    """

    feed_forwards: list[tuple[str, str]]
    attentions: list[str]


@dataclass(frozen=True)
class Pruned:
    """A smaller network.

    Attributes:
        arguments: Constructor arguments that make it.
        weights: Its state dict.
        before: The same arguments of the network that it was.
    """

    arguments: dict[str, int]
    weights: dict[str, Tensor]
    before: dict[str, int]


def sites_of(network: nn.Module) -> Sites:
    """Where a network can be pruned.

    Args:
        network: Of a forecaster.

    Raises:
        UsageError: Nowhere.
    """
    if isinstance(network, PatchTransformer):
        layers = [f"encoder.layers.{number}" for number in range(len(network.encoder.layers))]
        return Sites([(f"{one}.linear1", f"{one}.linear2") for one in layers], [f"{one}.self_attn" for one in layers])
    if isinstance(network, PhaseTransformer):
        layers = [f"blocks.{number}" for number in range(len(network.blocks))]
        return Sites(
            [(f"{one}.feed_forward.0", f"{one}.feed_forward.3") for one in layers],
            [f"{one}.attention.{part}" for one in layers for part in ("gather", "distribute")],
        )
    raise UsageError(
        f"optimize: pruned given, but a {type(network).__name__} has no feed-forward networks and heads that "
        "are known here; PatchTransformer and PhaseTransformer have"
    )


def prune(module: BaseModule, batches: Iterable[Batch], *, share: float) -> Pruned:
    """Takes the least important hidden features and heads out of a forecaster's network.

    The importance of a group of weights w with gradient g is the mean over batches of (sum of w g)^2: how much the loss
    would change, to first order, without the group (Molchanov et al., CVPR 2019). Every layer loses as many.

    Args:
        module: With the trained network in `network`.
        batches: Of training.
        share: Of features and of heads to take out; at least one head and eight features stay.
    """
    network: nn.Module = module.network  # type: ignore[assignment]
    sites = sites_of(network)
    importance = _importance(module, network, sites, batches)
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    modules = dict(network.named_modules())
    heads = num_heads(modules[sites.attentions[0]])
    features = modules[sites.feed_forwards[0][0]].out_features
    before = {"feed_forward_size": int(features), "num_heads": heads}  # type: ignore[arg-type]
    kept = {
        "feed_forward_size": _fewer(before["feed_forward_size"], share, multiple=_ROUND),
        "num_heads": _fewer(heads, share, multiple=1),
    }
    for first, second in sites.feed_forwards:
        places = _best(importance[first], kept["feed_forward_size"])
        for name in (f"{first}.weight", f"{first}.bias"):
            weights[name] = weights[name][places]
        weights[f"{second}.weight"] = weights[f"{second}.weight"][:, places]
    width = int(weights[f"{sites.attentions[0]}.out_proj.weight"].shape[1])
    size = width // heads
    for name in sites.attentions:
        places = _rows(_best(importance[name], kept["num_heads"]), size)
        stacked = torch.cat([places + part * width for part in range(3)])
        for entry in (f"{name}.in_proj_weight", f"{name}.in_proj_bias"):
            weights[entry] = weights[entry][stacked]
        weights[f"{name}.out_proj.weight"] = weights[f"{name}.out_proj.weight"][:, places]
    return Pruned(
        arguments={**kept, "attention_size": kept["num_heads"] * size},
        weights=weights,
        before={**before, "attention_size": width},
    )


def pruned_config(resolved: Mapping[str, Any], pruned: Pruned, *, epochs: int) -> dict[str, Any]:
    """The config of the smaller model, to train on.

    Args:
        resolved: Config of the model that it was.
        pruned: The smaller network.
        epochs: Of the training.
    """
    config: dict[str, Any] = copy.deepcopy(dict(resolved))
    config["model"]["init_args"]["network"].setdefault("init_args", {}).update(pruned.arguments)
    config["trainer"] |= {"max_epochs": epochs, "max_steps": -1}
    config["run"]["name"] = f"{config['run']['name']}_pruned"
    return config


def num_heads(attention: nn.Module) -> int:
    """Heads of an attention."""
    heads: Any = attention.num_heads
    return int(heads)


def _importance(module: BaseModule, network: nn.Module, sites: Sites, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Importance of each hidden feature by its first linear layer, of each head by its attention."""
    found: dict[str, Tensor] = {}
    parameters = dict(network.named_parameters())
    heads = {name: num_heads(dict(network.named_modules())[name]) for name in sites.attentions}
    for batch in batches:
        module.zero_grad()
        module.step(batch).loss.backward()
        products = {name: (value * value.grad).detach() for name, value in parameters.items() if value.grad is not None}
        for first, second in sites.feed_forwards:
            change = products[f"{first}.weight"].sum(1) + products[f"{first}.bias"]
            change = change + products[f"{second}.weight"].sum(0)
            found[first] = found.get(first, torch.zeros(())) + change.square()
        for name in sites.attentions:
            inner = products[f"{name}.in_proj_weight"].sum(1) + products[f"{name}.in_proj_bias"]
            change = inner.unflatten(0, (3, heads[name], -1)).sum(dim=(0, 2))
            change = change + products[f"{name}.out_proj.weight"].sum(0).unflatten(0, (heads[name], -1)).sum(1)
            found[name] = found.get(name, torch.zeros(())) + change.square()
    module.zero_grad()
    return found


def _fewer(count: int, share: float, *, multiple: int) -> int:
    if count <= multiple:
        return count
    return min(count, max(multiple, round(count * (1 - share) / multiple) * multiple))


def _best(importance: Tensor, count: int) -> Tensor:
    """Places of the most important, ascending."""
    return importance.topk(count).indices.sort().values


def _rows(heads: Tensor, size: int) -> Tensor:
    return (heads[:, None] * size + torch.arange(size)).flatten()
