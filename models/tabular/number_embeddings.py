"""NumberEmbeddings: a vector per number of a row; linear, periodic or piecewise linear (Gorishniy et al., 2022)."""

import math
from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import Tensor, nn
from typing_extensions import override


class NumberEmbeddings(nn.Module, ABC):
    """A vector per number, (B, F) -> (B, F, embedding_size), and a learned one where the number is missing.

    Args:
        num_numbers: Number columns, F.
        embedding_size: Size of each vector, E.
    """

    def __init__(self, *, num_numbers: int, embedding_size: int) -> None:
        super().__init__()
        if embedding_size < 1:
            raise ValueError(f"number_embeddings.embedding_size: {embedding_size} given, at least 1 is needed")
        self.num_numbers = num_numbers
        self.embedding_size = embedding_size
        self.missing = nn.Parameter(torch.zeros(num_numbers, embedding_size))

    def set_quantiles(self, quantiles: Tensor) -> None:
        """Takes quantiles of the training rows, before the first step; most embeddings need none.

        Args:
            quantiles: Of the scaled numbers at equidistant levels from 0 to 1, (F, levels), ascending.
        """

    @abstractmethod
    def embed(self, numbers: Tensor) -> Tensor:
        """Vectors of numbers that are known, (B, F) -> (B, F, E)."""

    @override
    def forward(self, numbers: Tensor, missing: Tensor) -> Tensor:
        """Vectors of numbers.

        Args:
            numbers: Scaled, 0 where missing, float32 (B, F).
            missing: 1 where a number is missing, float32 (B, F).

        Returns:
            (B, F, E).
        """
        return torch.where(missing.unsqueeze(-1) > 0, self.missing, self.embed(numbers))


class NumberEmbeddingsFactory(Protocol):
    """Makes embeddings for a number of columns; a config names the class and its other arguments."""

    def __call__(self, *, num_numbers: int) -> NumberEmbeddings:
        """Makes the embeddings.

        Args:
            num_numbers: Number columns, F.
        """
        ...


class LinearEmbeddings(NumberEmbeddings):
    """x * weight + bias per column, with or without a ReLU.

    Args:
        num_numbers: Number columns, F.
        embedding_size: Size of each vector, E.
        activation: Apply a ReLU.
    """

    def __init__(self, *, num_numbers: int, embedding_size: int = 32, activation: bool = True) -> None:
        super().__init__(num_numbers=num_numbers, embedding_size=embedding_size)
        self.linear = ScaledVectors(num_numbers=num_numbers, embedding_size=embedding_size)
        self.activation = activation

    @override
    def embed(self, numbers: Tensor) -> Tensor:
        vectors: Tensor = self.linear(numbers)
        return vectors.relu() if self.activation else vectors


class PeriodicEmbeddings(NumberEmbeddings):
    """Sines and cosines of learned frequencies, then a linear layer and a ReLU.

    Args:
        num_numbers: Number columns, F.
        embedding_size: Size of each vector, E.
        num_frequencies: Frequencies per column.
        frequency_scale: Deviation of the initial frequencies; the argument that matters most, 0.01 to 1.
        shared: Share the linear layer between the columns, which saves most of the parameters.
    """

    def __init__(
        self,
        *,
        num_numbers: int,
        embedding_size: int = 24,
        num_frequencies: int = 48,
        frequency_scale: float = 0.1,
        shared: bool = True,
    ) -> None:
        super().__init__(num_numbers=num_numbers, embedding_size=embedding_size)
        if frequency_scale <= 0:
            raise ValueError(f"number_embeddings.frequency_scale: {frequency_scale} given, above 0 is needed")
        self.frequencies = nn.Parameter(torch.empty(num_numbers, num_frequencies))
        bound = 3 * frequency_scale
        nn.init.trunc_normal_(self.frequencies, 0.0, frequency_scale, a=-bound, b=bound)
        self.linear = (
            nn.Linear(2 * num_frequencies, embedding_size)
            if shared
            else ColumnLinear(num_columns=num_numbers, input_size=2 * num_frequencies, output_size=embedding_size)
        )

    @override
    def embed(self, numbers: Tensor) -> Tensor:
        angles = 2 * math.pi * self.frequencies * numbers.unsqueeze(-1)
        vectors: Tensor = self.linear(torch.cat([angles.cos(), angles.sin()], dim=-1))
        return vectors.relu()


class PiecewiseLinearEmbeddings(NumberEmbeddings):
    """Piecewise-linear function of each number with knots at quantiles of the training rows, plus a linear one.

    The encoding of a number is 1 for each bin below it, its share of the bin that holds it, and 0 for the bins above;
    the first and the last bin go on beyond their edges. The linear layer on it starts at zero, so that training starts
    from linear embeddings (version B of Gorishniy et al., 2024).

    Args:
        num_numbers: Number columns, F.
        embedding_size: Size of each vector, E.
        num_bins: Bins per column. Where quantiles coincide, because many rows share a value, the knots are spread over
            the distinct values instead; a column with few values has fewer bins.
        activation: Apply a ReLU to the piecewise-linear part.
    """

    left: Tensor
    width: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self, *, num_numbers: int, embedding_size: int = 16, num_bins: int = 48, activation: bool = False
    ) -> None:
        super().__init__(num_numbers=num_numbers, embedding_size=embedding_size)
        if num_bins < 2:
            raise ValueError(f"number_embeddings.num_bins: {num_bins} given, at least 2 are needed")
        self.activation = activation
        self.register_buffer("left", torch.empty(num_numbers, num_bins))
        for name in ("width", "low", "high"):
            self.register_buffer(name, torch.empty_like(self.left))
        self.linear = ScaledVectors(num_numbers=num_numbers, embedding_size=embedding_size)
        self.bins = ColumnLinear(
            num_columns=num_numbers, input_size=num_bins, output_size=embedding_size, bias=False, zeros=True
        )
        self.set_quantiles(torch.linspace(-3, 3, num_bins + 1).expand(num_numbers, -1))

    @override
    def set_quantiles(self, quantiles: Tensor) -> None:
        num_edges = self.left.shape[1] + 1
        for column, row in enumerate(quantiles.double().cpu()):
            edges = levels_of(row, num_edges).float().unique()
            distinct = row.unique()
            if len(edges) < num_edges:  # quantiles coincide: most rows of the column share a value, such as 0
                edges = distinct if len(distinct) <= num_edges else levels_of(distinct, num_edges)
            self._set_bins(column, edges.float().unique())

    def _set_bins(self, column: int, edges: Tensor) -> None:
        """Sets the bins of a column; those that it does not fill give 0."""
        count = len(edges) - 1
        for buffer, unused in ((self.left, 0.0), (self.width, 1.0), (self.low, 0.0), (self.high, 0.0)):
            buffer[column] = unused
        if not count:
            return
        self.left[column, :count] = edges[:-1]
        self.width[column, :count] = edges.diff()
        self.high[column, :count] = 1.0
        self.low[column, 0] = -torch.inf
        self.high[column, count - 1] = torch.inf

    def encode(self, numbers: Tensor) -> Tensor:
        """Piecewise-linear encoding, (B, F) -> (B, F, num_bins)."""
        shares = (numbers.unsqueeze(-1) - self.left) / self.width
        return torch.minimum(torch.maximum(shares, self.low), self.high)

    @override
    def embed(self, numbers: Tensor) -> Tensor:
        pieces: Tensor = self.bins(self.encode(numbers))
        linear: Tensor = self.linear(numbers)
        return linear + (pieces.relu() if self.activation else pieces)


class ScaledVectors(nn.Module):
    """A vector per column times its number, plus a bias, (B, F) -> (B, F, E).

    Args:
        num_numbers: Number columns, F.
        embedding_size: Size of each vector, E.
    """

    def __init__(self, *, num_numbers: int, embedding_size: int) -> None:
        super().__init__()
        bound = embedding_size**-0.5
        self.weight = nn.Parameter(torch.empty(num_numbers, embedding_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_numbers, embedding_size).uniform_(-bound, bound))

    @override
    def forward(self, numbers: Tensor) -> Tensor:
        """Scales the vectors."""
        return torch.addcmul(self.bias, self.weight, numbers.unsqueeze(-1))


class ColumnLinear(nn.Module):
    """A linear layer per column, (B, F, input_size) -> (B, F, output_size).

    Args:
        num_columns: Columns, F.
        input_size: Features per column.
        output_size: Outputs per column.
        bias: Add a bias.
        zeros: Start with weights of zero.
    """

    def __init__(
        self, *, num_columns: int, input_size: int, output_size: int, bias: bool = True, zeros: bool = False
    ) -> None:
        super().__init__()
        bound = 0.0 if zeros else input_size**-0.5
        self.weight = nn.Parameter(torch.empty(num_columns, input_size, output_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_columns, output_size).uniform_(-bound, bound)) if bias else None

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Applies the layers."""
        outputs = (features.transpose(0, 1) @ self.weight).transpose(0, 1)
        return outputs if self.bias is None else outputs + self.bias


def levels_of(quantiles: Tensor, count: int) -> Tensor:
    """Quantiles at fewer equidistant levels, between two of which that are given they are interpolated.

    Args:
        quantiles: At equidistant levels from 0 to 1, float64 (levels,).
        count: Number of levels.

    Returns:
        (count,).
    """
    positions = torch.linspace(0, len(quantiles) - 1, count, dtype=torch.float64)
    below = positions.floor().long()
    share = positions - below
    above = (below + 1).clamp_max(len(quantiles) - 1)
    return quantiles[below] + share * (quantiles[above] - quantiles[below])
