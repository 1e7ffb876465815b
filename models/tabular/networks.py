"""LinearNetwork and MLP, networks on rows of numbers, categories and vectors."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.tabular.number_embeddings import NumberEmbeddingsFactory
from models.tabular.row_input import CategoryEmbeddings, RowInput, check_sizes


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
        number_embeddings: Makes embeddings of the numbers; None for the numbers and their missing indicators.
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
        number_embeddings: NumberEmbeddingsFactory | None = None,
    ) -> None:
        super().__init__()
        check_sizes({"hidden_size": hidden_size, "num_layers": num_layers, "embedding_size": embedding_size})
        self.input = RowInput(
            num_numbers=num_numbers,
            cardinalities=cardinalities,
            vector_size=vector_size,
            embedding_size=embedding_size,
            number_embeddings=number_embeddings,
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
