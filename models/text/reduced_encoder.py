"""ReducedEncoder: a smaller encoder of the same kind and tokens as a pretrained one, for distillation."""

from typing import Any

import torch
from torch import nn
from typing_extensions import override

from features.text.pretrained import pretrained_folder
from models.text.encoder import PretrainedEncoder
from models.text.pretrained_network import load_network

_KEY = "model.encoder"


class ReducedEncoder(PretrainedEncoder):
    """A pretrained encoder with fewer layers, or one of a smaller hidden size that starts untrained.

    With the hidden size of the pretrained encoder, its embeddings and every so many of its layers are taken, from the
    first to the last (Sanh et al., 2019); with a smaller one all weights are random.

    Args:
        num_layers: Layers, fewer than or as many as those of the pretrained encoder.
        hidden_size: Size of a token vector, a multiple of that of an attention head of the pretrained encoder; None
            for that of the pretrained encoder.
        pretrained: As of `PretrainedEncoder`.
        layer_decay: As of `PretrainedEncoder`.
        dropout: As of `PretrainedEncoder`.
        attention_dropout: As of `PretrainedEncoder`.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        hidden_size: int | None = None,
        pretrained: str | None = None,
        layer_decay: float = 1.0,
        dropout: float | None = None,
        attention_dropout: float | None = None,
    ) -> None:
        self._wanted = (num_layers, hidden_size)
        super().__init__(
            pretrained=pretrained, layer_decay=layer_decay, dropout=dropout, attention_dropout=attention_dropout
        )

    @override
    def load(self, pretrained: str) -> Any:
        num_layers, hidden_size = self._wanted
        if hidden_size is not None:
            return _untrained(pretrained, num_layers, hidden_size)
        network: Any = load_network("AutoModel", pretrained, key=f"{_KEY}.pretrained")
        name, layers = _layer_list(network, network.config.num_hidden_layers)
        _check_count(num_layers, len(layers), pretrained)
        chosen = torch.linspace(0, len(layers) - 1, num_layers).round().int().tolist()
        owner, _, last = name.rpartition(".")
        setattr(network.get_submodule(owner), last, nn.ModuleList(layers[index] for index in chosen))
        network.config.num_hidden_layers = num_layers
        return network


def _untrained(pretrained: str, num_layers: int, hidden_size: int) -> Any:
    import transformers

    config: Any = transformers.AutoConfig.from_pretrained(pretrained_folder(pretrained, key=f"{_KEY}.pretrained"))
    _check_count(num_layers, config.num_hidden_layers, pretrained)
    head_size = config.hidden_size // config.num_attention_heads
    if not 0 < hidden_size <= config.hidden_size or hidden_size % head_size:
        raise ValueError(
            f"{_KEY}.hidden_size: {hidden_size} given, a multiple of {head_size} up to {config.hidden_size} is needed: "
            f"a head of {pretrained} has {head_size}"
        )
    inner = next((name for name in ("intermediate_size", "hidden_dim") if hasattr(config, name)), None)
    if inner is not None:
        setattr(config, inner, getattr(config, inner) * hidden_size // config.hidden_size)
    config.num_attention_heads = hidden_size // head_size
    config.num_hidden_layers = num_layers
    config.hidden_size = hidden_size
    return transformers.AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32)


def _check_count(num_layers: int, available: int, pretrained: str) -> None:
    if not 1 <= num_layers <= available:
        raise ValueError(
            f"{_KEY}.num_layers: {num_layers} given, {pretrained} has {available}; 1 to {available} are possible"
        )


def _layer_list(network: nn.Module, count: int) -> tuple[str, nn.ModuleList]:
    """Name and list of the layers: the outermost list of the right length."""
    found = ((name, part) for name, part in network.named_modules() if isinstance(part, nn.ModuleList))
    return next((name, part) for name, part in found if len(part) == count)
