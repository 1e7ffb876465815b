"""Design: rows as a linear model sees them, products with a weight and back."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

_SPARSE = 0.2
"""Vectors with fewer numbers other than 0 than this share are kept as a sparse matrix."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Rows of a linear model, float64.

    Attributes:
        dense: Standardised numbers, then missing indicators, (N, D).
        categories: Row of each category in the table of all categories, int64 (N, K).
        num_categories: Rows of that table.
        vectors: (N, V), dense or sparse CSR; None without vectors.
        vectors_back: Its transpose, (V, N).
    """

    dense: Tensor
    categories: Tensor
    num_categories: int
    vectors: Tensor | None
    vectors_back: Tensor | None

    @classmethod
    def of(cls, *, dense: Tensor, categories: Tensor, num_categories: int, vectors: Tensor | None) -> "Design":
        """The design of some rows.

        Args:
            dense: float32 (N, D).
            categories: As the attribute.
            num_categories: As the attribute.
            vectors: float32 (N, V).
        """
        back = None
        if vectors is not None:
            if int(vectors.count_nonzero()) < _SPARSE * vectors.numel():
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
                    back = vectors.T.to_sparse_csr().double()
                    vectors = vectors.to_sparse_csr().double()
            else:
                vectors = vectors.double()
                back = vectors.T
        return cls(
            dense=dense.double(),
            categories=categories,
            num_categories=num_categories,
            vectors=vectors,
            vectors_back=back,
        )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Rows of the weight: of `dense`, of the categories, of the vectors."""
        return self.dense.shape[1], self.num_categories, 0 if self.vectors is None else self.vectors.shape[1]

    def times(self, weight: Tensor) -> Tensor:
        """Outputs (N, C) of a weight (sum of `sizes`, C)."""
        of_dense, of_categories, of_vectors = weight.split(self.sizes)
        outputs = self.dense @ of_dense
        for column in self.categories.T:
            outputs += of_categories[column]
        return outputs if self.vectors is None else outputs + self.vectors @ of_vectors

    def back(self, gradient: Tensor) -> Tensor:
        """Gradient of the weight from that of the outputs, (N, C)."""
        of_categories = gradient.new_zeros(self.num_categories, gradient.shape[1])
        for column in self.categories.T:
            of_categories.index_add_(0, column, gradient)
        parts = [self.dense.T @ gradient, of_categories]
        return torch.cat(parts if self.vectors_back is None else [*parts, self.vectors_back @ gradient])
