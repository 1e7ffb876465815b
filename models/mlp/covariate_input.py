"""CovariateInput: what the covariates of a window add to the first hidden layer of an MLP over its values.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones,
D hidden size.
"""

import torch
from torch import Tensor, nn

from models.window_network import Covariates


class CovariateInput(nn.Module):
    """Linear map of all covariates of a window, to be added to that of its values.

    It is the part of a linear layer over values and covariates that reads the covariates. Those of the rows are the
    same for all channels, so that their part is computed once for each window.

    Args:
        num_values: Values of past and known-future covariates in a window, L * P + (L + H) * K.
        num_static_covariates: S.
        hidden_size: Width D.
    """

    def __init__(self, *, num_values: int, num_static_covariates: int, hidden_size: int) -> None:
        super().__init__()
        self.rows = nn.Linear(num_values, hidden_size, bias=False) if num_values else None
        self.static = nn.Linear(num_static_covariates, hidden_size, bias=False) if num_static_covariates else None

    def forward(self, hidden: Tensor, covariates: Covariates) -> Tensor:
        """Adds the covariates' part to (B, C, D)."""
        values = [part.flatten(1) for part in (covariates.past, covariates.future) if part is not None]
        if self.rows is not None and values:
            hidden = hidden + self.rows(torch.cat(values, dim=-1)).unsqueeze(1)
        if self.static is not None and covariates.static is not None:
            hidden = hidden + self.static(covariates.static)
        return hidden
