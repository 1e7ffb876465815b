"""LinearNetwork and MLP, networks on rows of numbers, categories and vectors."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

_NUM_RESERVED = 2
"""Categories 0 and 1 are unknown and missing; their embeddings start at zero, and stay there if training has none."""


class CategoryEmbeddings(nn.Module):
    """An embedding per category, (B, K) -> (B, K * embedding_size).

    An index that the column does not have is answered as unknown, index 0.

    Args:
        cardinalities: Number of categories of each column, the reserved ones included, K numbers.
        embedding_size: Numbers per category.
    """

    offsets: Tensor
    sizes: Tensor

    def __init__(self, *, cardinalities: Sequence[int], embedding_size: int) -> None:
        super().__init__()
        sizes = torch.tensor(list(cardinalities))
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("offsets", sizes.cumsum(dim=0) - sizes, persistent=False)
        self.table = nn.Embedding(int(sizes.sum()), embedding_size)
        with torch.no_grad():
            self.table.weight.mul_(embedding_size**-0.5)
            for index in range(_NUM_RESERVED):
                self.table.weight[self.offsets + index] = 0.0
        self.output_size = len(sizes) * embedding_size

    @override
    def forward(self, categories: Tensor) -> Tensor:
        """Embeds category indices.

        Args:
            categories: int64 (B, K).
        """
        known = (categories >= 0) & (categories < self.sizes)
        return self.table(torch.where(known, categories, 0) + self.offsets).flatten(1)


class _RowInput(nn.Module):
    """All inputs of a row side by side, (B, output_size)."""

    def __init__(
        self, *, num_numbers: int, cardinalities: Sequence[int] | None, vector_size: int, embedding_size: int
    ) -> None:
        super().__init__()
        self.embeddings = (
            CategoryEmbeddings(cardinalities=cardinalities, embedding_size=embedding_size) if cardinalities else None
        )
        embedded = 0 if self.embeddings is None else self.embeddings.output_size
        self.output_size = 2 * num_numbers + embedded + vector_size
        if not self.output_size:
            raise ValueError("model.network: the data has no features: no numbers, no categories, no vectors")

    @override
    def forward(
        self, numbers: Tensor | None, missing: Tensor | None, categories: Tensor | None, vectors: Tensor | None
    ) -> Tensor:
        parts = [part for part in (numbers, missing, vectors) if part is not None]
        if categories is not None:
            assert self.embeddings is not None
            parts.append(self.embeddings(categories))
        return torch.cat(parts, dim=-1)


class LinearNetwork(nn.Module):
    """Linear model: a weight per number, per missing number and per category.

    Args:
        output_size: Outputs per row.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
    """

    def __init__(
        self,
        *,
        output_size: int,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
    ) -> None:
        super().__init__()
        self.embeddings = (
            CategoryEmbeddings(cardinalities=cardinalities, embedding_size=output_size) if cardinalities else None
        )
        if self.embeddings is not None:
            nn.init.zeros_(self.embeddings.table.weight)
        self.linear = nn.Linear(2 * num_numbers + vector_size, output_size)
        self.output_size = output_size

    @override
    def forward(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> Tensor:
        """Outputs of each row, see `MLP.forward`."""
        parts = [part for part in (numbers, missing, vectors) if part is not None]
        outputs = self.linear(torch.cat(parts, dim=-1)) if parts else self.linear.bias
        if categories is not None:
            assert self.embeddings is not None
            embedded = self.embeddings(categories).unflatten(-1, (-1, self.output_size))  # (B, K, output_size)
            outputs = outputs + embedded.sum(dim=1)
        return outputs


class MLP(nn.Module):
    """Perceptron on numbers, their missing indicators, embedded categories and vectors.

    Args:
        output_size: Outputs per row.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
        hidden_size: Width of the hidden layers.
        num_layers: Number of hidden layers.
        dropout: Dropout after each hidden layer.
        embedding_size: Numbers per category.
        residual: Add the input of each hidden layer but the first to its output, after a layer norm.
    """

    def __init__(
        self,
        *,
        output_size: int,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.0,
        embedding_size: int = 8,
        residual: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
            ("embedding_size", embedding_size),
        ):
            if value < 1:
                raise ValueError(f"model.network.{name}: {value} given, at least 1 is needed")
        self.input = _RowInput(
            num_numbers=num_numbers, cardinalities=cardinalities, vector_size=vector_size, embedding_size=embedding_size
        )
        self.residual = residual
        sizes = [self.input.output_size, *[hidden_size] * num_layers]
        self.layers = nn.ModuleList(
            nn.Sequential(
                *([nn.LayerNorm(size)] if residual and index else []),
                nn.Linear(size, following),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for index, (size, following) in enumerate(pairwise(sizes))
        )
        self.output = nn.Linear(hidden_size, output_size)
        self.output_size = output_size

    @override
    def forward(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> Tensor:
        """Outputs of each row.

        Args:
            numbers: Standardised, 0 where missing, float32 (B, F); None without number columns.
            missing: 1 where a number is missing, float32 (B, F).
            categories: Indices, 0 unknown, 1 missing, int64 (B, K).
            vectors: float32 (B, V).

        Returns:
            (B, output_size).
        """
        hidden = self.input(numbers, missing, categories, vectors)
        for index, layer in enumerate(self.layers):
            hidden = hidden + layer(hidden) if self.residual and index else layer(hidden)
        return self.output(hidden)
