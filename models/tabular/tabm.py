"""TabM: a parameter-efficient ensemble of perceptrons that are trained together (Gorishniy et al., 2024)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.tabular.number_embeddings import ColumnLinear, NumberEmbeddingsFactory
from models.tabular.row_input import RowInput, check_sizes


class TabM(nn.Module):
    """Ensemble of perceptrons on the same row; they share their weights but for scales and biases of their own.

    Each member is trained on its own loss, and the prediction is the mean of the members' predictions.

    Args:
        output_size: Outputs per row and member.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
        num_members: Perceptrons in the ensemble.
        hidden_size: Width of the hidden layers.
        num_layers: Number of hidden layers; None for 3, or 2 on embeddings of numbers.
        dropout: Dropout after each hidden layer.
        embedding_size: Numbers per category.
        sharing: `full` (TabM): each member has its own scales of inputs and outputs and its own bias in every layer;
            `mini`: its own scale of the row alone; `packed`: all weights of its own.
        number_embeddings: Makes embeddings of the numbers; None for the numbers and their missing indicators.
    """

    def __init__(
        self,
        *,
        output_size: int,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
        num_members: int = 32,
        hidden_size: int = 512,
        num_layers: int | None = None,
        dropout: float = 0.1,
        embedding_size: int = 8,
        sharing: Literal["full", "mini", "packed"] = "full",
        number_embeddings: NumberEmbeddingsFactory | None = None,
    ) -> None:
        super().__init__()
        num_layers = (3 if number_embeddings is None else 2) if num_layers is None else num_layers
        sizes_given = {"num_members": num_members, "hidden_size": hidden_size, "num_layers": num_layers}
        check_sizes({**sizes_given, "embedding_size": embedding_size})
        self.num_members = num_members
        self.input = RowInput(
            num_numbers=num_numbers,
            cardinalities=cardinalities,
            vector_size=vector_size,
            embedding_size=embedding_size,
            number_embeddings=number_embeddings,
        )
        scales = _first_scales(
            num_members, self.input.feature_sizes, normal=number_embeddings is not None
        )  # as in the reference implementation: normal on embeddings, signs else
        self.scale = nn.Parameter(scales) if sharing == "mini" else None
        sizes = [self.input.output_size, *[hidden_size] * num_layers]
        self.layers = nn.ModuleList()
        for size, following in pairwise(sizes):
            linear: nn.Module
            if sharing == "full":
                linear = ScaledLinear(num_members=num_members, input_size=size, output_size=following)
            elif sharing == "mini":
                linear = nn.Linear(size, following)
            else:
                linear = ColumnLinear(num_columns=num_members, input_size=size, output_size=following)
            self.layers.append(nn.Sequential(linear, nn.ReLU(), nn.Dropout(dropout)))
        if sharing == "full":
            self.layers[0][0].input_scale.data.copy_(scales)  # type: ignore[index]
        self.output = ColumnLinear(num_columns=num_members, input_size=hidden_size, output_size=output_size)

    @override
    def forward(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> Tensor:
        """Outputs of each member; arguments as of `MLP.forward`.

        Returns:
            (B, num_members, output_size).
        """
        row = self.input(numbers, missing, categories, vectors)
        hidden = row.unsqueeze(1)
        hidden = hidden.expand(-1, self.num_members, -1) if self.scale is None else hidden * self.scale
        for layer in self.layers:
            hidden = layer(hidden)
        outputs: Tensor = self.output(hidden)
        return outputs


class ScaledLinear(nn.Module):
    """Linear layer that members share, between scales of their own (BatchEnsemble), (B, members, .) -> (B, members, .).

    Args:
        num_members: Members.
        input_size: Features.
        output_size: Outputs.
    """

    def __init__(self, *, num_members: int, input_size: int, output_size: int) -> None:
        super().__init__()
        bound = input_size**-0.5
        self.weight = nn.Parameter(torch.empty(output_size, input_size).uniform_(-bound, bound))
        self.input_scale = nn.Parameter(torch.ones(num_members, input_size))
        self.output_scale = nn.Parameter(torch.ones(num_members, output_size))
        self.bias = nn.Parameter(torch.empty(output_size).uniform_(-bound, bound).repeat(num_members, 1))

    @override
    def forward(self, hidden: Tensor) -> Tensor:
        """Applies the layer."""
        return torch.addcmul(self.bias, (hidden * self.input_scale) @ self.weight.T, self.output_scale)


def _first_scales(num_members: int, feature_sizes: Sequence[int], *, normal: bool) -> Tensor:
    """Random scales that make the members differ, the same for all numbers of a feature, (members, sum of sizes)."""
    shape = (num_members, len(feature_sizes))
    scales = torch.randn(shape) if normal else torch.randint(0, 2, shape) * 2.0 - 1.0
    return scales.repeat_interleave(torch.tensor(list(feature_sizes)), dim=1)
