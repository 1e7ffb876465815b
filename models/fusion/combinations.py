"""Combinations of the vectors of several modalities: concatenation, perceptrons, gating, attention."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override


class Combination(nn.Module, ABC):
    """Makes one vector of the vectors of modalities.

    Attributes:
        output_size: Size of the vector.
    """

    output_size: int

    @abstractmethod
    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        """One vector per row, (B, output_size).

        Args:
            parts: Vectors of the modalities, (B, size) each.
        """


CombinationFactory = Callable[[Sequence[int]], Combination]
"""Sizes of the vectors of the modalities -> combination."""


class Concatenation(Combination):
    """The vectors side by side.

    Args:
        sizes: Sizes of the vectors.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.output_size = sum(sizes)

    @override
    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts), dim=-1)


class Perceptrons(Combination):
    """A perceptron per modality, which brings all to one size; the results side by side.

    Args:
        sizes: Sizes of the vectors.
        hidden_size: Size of each modality's part.
        dropout: Dropout of the parts.
    """

    def __init__(self, sizes: Sequence[int], hidden_size: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.perceptrons = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden_size), nn.ReLU(), nn.Dropout(dropout)) for size in sizes
        )
        self.output_size = hidden_size * len(sizes)

    @override
    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([layer(part) for layer, part in zip(self.perceptrons, parts, strict=True)], dim=-1)


class Gating(Combination):
    """A weighted sum, whose weights depend on all modalities (gated multimodal unit, Arevalo et al., 2017).

    Args:
        sizes: Sizes of the vectors.
        hidden_size: Size that all are brought to.
        dropout: Dropout of the sum.
    """

    def __init__(self, sizes: Sequence[int], hidden_size: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(size, hidden_size) for size in sizes)
        self.gates = nn.Linear(sum(sizes), hidden_size * len(sizes))
        self.dropout = nn.Dropout(dropout)
        self.output_size = hidden_size

    @override
    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        hidden = torch.stack([layer(part).tanh() for layer, part in zip(self.projections, parts, strict=True)], dim=1)
        weights = self.gates(torch.cat(list(parts), dim=-1)).unflatten(-1, (len(self.projections), -1)).softmax(dim=1)
        return self.dropout((weights * hidden).sum(dim=1))


class Attention(Combination):
    """A learned query attends to the modalities; each is one token.

    Args:
        sizes: Sizes of the vectors.
        hidden_size: Size that all are brought to.
        num_heads: Attention heads.
        dropout: Dropout of the result.
    """

    def __init__(self, sizes: Sequence[int], hidden_size: int = 64, num_heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(f"Attention: hidden_size {hidden_size} is no multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden_size), nn.LayerNorm(hidden_size)) for size in sizes
        )
        self.query = nn.Parameter(torch.randn(hidden_size) * hidden_size**-0.5)
        self.keys_values = nn.Linear(hidden_size, 2 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.output_size = hidden_size

    @override
    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        tokens = torch.stack([layer(part) for layer, part in zip(self.projections, parts, strict=True)], dim=1)
        keys, values = self.keys_values(tokens).unflatten(-1, (2 * self.num_heads, -1)).transpose(1, 2).chunk(2, dim=1)
        query = self.query.unflatten(0, (self.num_heads, 1, -1)).to(keys.dtype).expand(len(tokens), -1, -1, -1)
        attended = F.scaled_dot_product_attention(query, keys, values)  # (B, heads, 1, head size)
        hidden = tokens.mean(dim=1) + self.dropout(self.output(attended.flatten(1)))
        return hidden.relu()
