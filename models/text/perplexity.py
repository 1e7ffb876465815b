"""Perplexity metric: the exponential of the mean negative log-likelihood per token."""

import torch
from torch import Tensor
from torchmetrics import Metric


class Perplexity(Metric):
    """Perplexity per token, exact over batches of any size and over processes."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, log_probabilities: Tensor, targets: Tensor) -> None:
        """Adds tokens.

        Args:
            log_probabilities: Of each token after those before it, in nats, (N,).
            targets: The tokens, int64 (N,).
        """
        assert log_probabilities.shape == targets.shape
        self.total -= log_probabilities.double().sum()
        self.count += len(targets)

    def compute(self) -> Tensor:
        """The perplexity of all tokens."""
        return (self.total / self.count).exp().float()
