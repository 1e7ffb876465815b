"""VariableSelection and the gated residual network it is made of, parts of the temporal fusion transformer.

Shapes: V variables, D hidden size; `...` are dimensions that broadcast, e.g. windows, channels and rows.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.dropout import Dropout


class GatedSkip(nn.Module):
    """LayerNorm(skip + GLU(features)): a gate per feature may close the way around which the skip leads.

    Args:
        input_size: Features of the input.
        output_size: Features of the skip and the output.
        dropout: Dropout before the gate.
    """

    def __init__(self, *, input_size: int, output_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(input_size, 2 * output_size)
        self.norm = nn.LayerNorm(output_size)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """(..., input_size), (..., output_size) -> (..., output_size)."""
        output: Tensor = self.norm(skip + F.glu(self.linear(self.dropout(features)), dim=-1))
        return output


class GatedResidualNetwork(nn.Module):
    """Gated residual network of the temporal fusion transformer, section 4.1 of the paper.

    Args:
        input_size: Features of the input.
        hidden_size: Hidden features.
        output_size: Features of the output; the skip is a linear map if they are not those of the input.
        context_size: Features of a context that is added to the hidden ones; 0 for none.
        dropout: Dropout before the gate.
    """

    def __init__(
        self, *, input_size: int, hidden_size: int, output_size: int, context_size: int = 0, dropout: float
    ) -> None:
        super().__init__()
        self.expand = nn.Linear(input_size, hidden_size)
        self.context = nn.Linear(context_size, hidden_size, bias=False) if context_size else None
        self.hidden = nn.Linear(hidden_size, hidden_size)
        self.gate = GatedSkip(input_size=hidden_size, output_size=output_size, dropout=dropout)
        self.skip = nn.Linear(input_size, output_size) if input_size != output_size else nn.Identity()

    def forward(self, features: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., input_size), context (..., context_size) -> (..., output_size)."""
        expanded = self.expand(features)
        if self.context is not None and context is not None:
            expanded = expanded + self.context(context)
        output: Tensor = self.gate(self.hidden(F.elu(expanded)), self.skip(features))
        return output


class VariableSelection(nn.Module):
    """Mixes variables with weights that depend on all of them, section 4.2 of the paper.

    Variables may be given with dimensions of size 1, such as a covariate that is the same for all channels: what is
    computed of it alone is computed once.

    Args:
        num_variables: V.
        hidden_size: Width D.
        context_size: Features of a context of the weights; 0 for none.
        dropout: Dropout of the gated residual networks.
    """

    def __init__(self, *, num_variables: int, hidden_size: int, context_size: int = 0, dropout: float) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Linear(1, hidden_size) for _ in range(num_variables))
        self.networks = nn.ModuleList(
            GatedResidualNetwork(
                input_size=hidden_size, hidden_size=hidden_size, output_size=hidden_size, dropout=dropout
            )
            for _ in range(num_variables)
        )
        # The weight of a single variable is 1.
        self.weighting = (
            GatedResidualNetwork(
                input_size=num_variables * hidden_size,
                hidden_size=hidden_size,
                output_size=num_variables,
                context_size=context_size,
                dropout=dropout,
            )
            if num_variables > 1
            else None
        )

    def forward(self, variables: Sequence[Tensor], context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Selects among V variables.

        Args:
            variables: Each (...), of shapes that broadcast.
            context: (..., context_size), or None.

        Returns:
            selected: (..., D).
            weights: (..., V), positive with sum 1.
        """
        embedded = [embed(value.unsqueeze(-1)) for embed, value in zip(self.embeddings, variables, strict=True)]
        processed = [network(value) for network, value in zip(self.networks, embedded, strict=True)]
        if self.weighting is None:
            return processed[0], torch.ones_like(processed[0][..., :1])
        together = torch.cat(torch.broadcast_tensors(*embedded), dim=-1)  # (..., V * D)
        weights = self.weighting(together, context).softmax(dim=-1)
        selected = torch.stack([weights[..., index : index + 1] * value for index, value in enumerate(processed)]).sum(
            dim=0
        )
        return selected, weights
