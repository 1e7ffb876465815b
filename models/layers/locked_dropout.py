"""LockedDropout: one dropout mask for all steps of a chunk (Gal & Ghahramani, 2016)."""

from torch import Tensor, nn

from models.layers.dropout import Dropout


class LockedDropout(nn.Module):
    """Drops the same features at every step of a chunk, others in each lane.

    A recurrent network averages dropout away that is drawn anew at each step; features that are missing for a whole
    chunk are missed.

    Args:
        probability: Of a feature to become zero.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.mask = Dropout(probability)

    def forward(self, x: Tensor) -> Tensor:
        """Applies dropout.

        Args:
            x: (B, L, E).

        Returns:
            (B, L, E).
        """
        return x * self.mask(x.new_ones(len(x), 1, x.shape[-1])) if self.training else x
