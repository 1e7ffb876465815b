"""Poolings: one vector of a text from the vectors of its tokens."""

from torch import Tensor, nn
from typing_extensions import override


class ClsPooling(nn.Module):
    """The vector of the first token, `[CLS]` of most encoders."""

    @override
    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """See `MeanPooling.forward`."""
        return hidden[:, 0]


class MeanPooling(nn.Module):
    """The mean over the tokens, padding left out."""

    @override
    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Vector of each text.

        Args:
            hidden: Vectors of the tokens, (B, L, E).
            attention_mask: 1 token, 0 padding, int64 (B, L).

        Returns:
            (B, E).
        """
        weights = attention_mask.to(hidden.dtype)
        total = (hidden * weights.unsqueeze(-1)).sum(dim=1)
        return total / weights.sum(dim=1, keepdim=True).clamp_min(1.0)


class AttentionPooling(nn.Module):
    """A weighted mean over the tokens, with learned weights; starts as the mean.

    Args:
        hidden_size: Size of a token vector, E.
    """

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    @override
    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """See `MeanPooling.forward`."""
        scores = self.score(hidden).squeeze(-1).masked_fill(attention_mask == 0, -1e4)
        return (hidden * scores.softmax(dim=1).unsqueeze(-1)).sum(dim=1)
