"""RowInput: numbers, categories and vectors of a row as one vector, with embeddings of categories and numbers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.tabular.number_embeddings import NumberEmbeddingsFactory

_NUM_RESERVED = 2
"""Categories 0 and 1 are unknown and missing; their embeddings start at zero, and stay there if training has none."""


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Raises `ValueError` unless sizes of a network are 1 or more.

    Args:
        sizes: By argument.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"model.network.{name}: {size} given, at least 1 is needed")


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
        return self.vectors(categories).flatten(1)

    def vectors(self, categories: Tensor) -> Tensor:
        """A vector per category, (B, K, embedding_size).

        Args:
            categories: int64 (B, K).
        """
        known = (categories >= 0) & (categories < self.sizes)
        vectors: Tensor = self.table(torch.where(known, categories, 0) + self.offsets)
        return vectors


class RowInput(nn.Module):
    """All inputs of a row side by side, (B, output_size).

    Args:
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
        embedding_size: Numbers per category.
        number_embeddings: Makes embeddings of the numbers; None for the numbers and their missing indicators.

    Attributes:
        feature_sizes: Size of each feature in the output, in order.
        output_size: Their sum.
    """

    def __init__(
        self,
        *,
        num_numbers: int,
        cardinalities: Sequence[int] | None,
        vector_size: int,
        embedding_size: int,
        number_embeddings: NumberEmbeddingsFactory | None = None,
    ) -> None:
        super().__init__()
        self.embeddings = (
            CategoryEmbeddings(cardinalities=cardinalities, embedding_size=embedding_size) if cardinalities else None
        )
        self.number_embeddings = (
            number_embeddings(num_numbers=num_numbers) if number_embeddings is not None and num_numbers else None
        )
        per_number = [1, 1] if self.number_embeddings is None else [self.number_embeddings.embedding_size]
        self.feature_sizes = [
            *(size for size in per_number for _ in range(num_numbers)),
            *([vector_size] if vector_size else []),
            *(embedding_size for _ in cardinalities or ()),
        ]
        self.output_size = sum(self.feature_sizes)
        if not self.output_size:
            raise ValueError("model.network: the data has no features: no numbers, no categories, no vectors")

    @override
    def forward(
        self, numbers: Tensor | None, missing: Tensor | None, categories: Tensor | None, vectors: Tensor | None
    ) -> Tensor:
        """All inputs as one vector, see `MLP.forward`."""
        if self.number_embeddings is None:
            parts = [part for part in (numbers, missing, vectors) if part is not None]
        else:
            parts = [self.number_embeddings(numbers, missing).flatten(1), *([] if vectors is None else [vectors])]
        if categories is not None:
            assert self.embeddings is not None
            parts.append(self.embeddings(categories))
        return torch.cat(parts, dim=-1)
