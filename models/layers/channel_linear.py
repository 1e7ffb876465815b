"""ChannelLinear: a linear map of its own for each channel."""

import torch
from torch import Tensor, nn


class ChannelLinear(nn.Module):
    """A linear map with bias for each channel, of the dimension after that of the channels.

    Args:
        num_channels: Channels, C.
        in_features: Inputs, F.
        out_features: Outputs, G.
    """

    def __init__(self, *, num_channels: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_channels, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(num_channels, 1, out_features))
        nn.init.constant_(self.weight, 1 / in_features)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, C, F) -> (B, C, G)."""
        outputs = features.transpose(0, 1) @ self.weight + self.bias  # (C, B, G)
        return outputs.transpose(0, 1)
