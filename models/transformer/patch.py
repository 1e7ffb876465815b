"""PatchTransformer: a transformer over patches of a window, with covariates and quantiles.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones,
T patches, N = B * C, D hidden size, Q quantiles.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from models.layers import NarrowEncoderLayer, ReversibleNorm, ascending, ascending_levels
from models.window_network import Covariates, WindowNetwork


class PatchTransformer(WindowNetwork):
    """PatchTST (Nie et al., ICLR 2023) in pre-norm form, with past, known-future and static covariates.

    The window of each channel is split into overlapping patches. A patch is embedded together with the covariates of
    its rows; static covariates are added to every token of their channel; the known future enters the head through an
    embedding of the horizon. Without covariates it is the plain channel-independent PatchTST.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_past_covariates: P.
        num_future_covariates: K.
        num_static_covariates: S.
        quantiles: Levels to forecast; None for point forecasts. Quantiles never cross, by construction.
        patch_size: Rows of a patch.
        stride: Rows from one patch to the next.
        hidden_size: Width D.
        feed_forward_size: Width of the feed-forward networks.
        num_layers: Blocks.
        num_heads: Attention heads.
        attention_size: Width of all heads together; None for D. Smaller in a pruned network.
        dropout: Dropout in the blocks, after the embedding and before the head.
        norm: Normalisation of each window.
    """

    def __init__(
        self,
        *,
        look_back: int,
        horizon: int,
        num_past_covariates: int = 0,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
        quantiles: Sequence[float] | None = None,
        patch_size: int = 16,
        stride: int = 8,
        hidden_size: int = 16,
        feed_forward_size: int = 128,
        num_layers: int = 3,
        num_heads: int = 4,
        attention_size: int | None = None,
        dropout: float = 0.3,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__(look_back=look_back, horizon=horizon, norm=norm)
        if look_back < patch_size:
            raise ValueError(f"look_back: {look_back} given, at least one patch of {patch_size} rows is needed")
        self.patch_size = patch_size
        self.stride = stride
        self.quantiles = None if quantiles is None else ascending_levels(quantiles)
        num_outputs = len(self.quantiles) if self.quantiles else 1
        num_patches = (look_back - patch_size) // stride + 2  # the end is padded by one stride
        width = 1 + num_past_covariates + num_future_covariates

        self.embedding = nn.Linear(width * patch_size, hidden_size)
        self.static_embedding = _linear_if(num_static_covariates, hidden_size)
        self.position = nn.Parameter(torch.randn(num_patches, hidden_size) * 0.02)
        self.dropout = nn.Dropout(dropout)
        layer = (
            nn.TransformerEncoderLayer(
                hidden_size, num_heads, feed_forward_size, dropout, "gelu", batch_first=True, norm_first=True
            )
            if attention_size is None
            else NarrowEncoderLayer(
                hidden_size=hidden_size,
                num_heads=num_heads,
                attention_size=attention_size,
                feed_forward_size=feed_forward_size,
                dropout=dropout,
            )
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.head = nn.Linear(num_patches * hidden_size, horizon * num_outputs)
        self.future_head = _linear_if(num_future_covariates * horizon, horizon * num_outputs)
        for head in (self.head, self.future_head):
            for parameter in () if head is None else head.parameters():
                nn.init.zeros_(parameter)  # the initial forecast is the window's level

    @override
    def normalised_forecast(self, window: Tensor, covariates: Covariates) -> Tensor:
        batch_size, num_channels, _ = window.shape
        rows = [window.unsqueeze(2)]  # (B, C, 1, L)
        for columns in (covariates.past, covariates.future):
            if columns is not None:
                known = columns[:, : self.look_back]
                rows.append(known.transpose(1, 2).unsqueeze(1).expand(-1, num_channels, -1, -1))
        tokens = self.embedding(self._patches(torch.cat(rows, dim=2).flatten(0, 1)))  # (N, T, D)
        if covariates.static is not None and self.static_embedding is not None:
            tokens = tokens + self.static_embedding(covariates.static).flatten(0, 1).unsqueeze(1)
        tokens = self.encoder(self.dropout(tokens + self.position))
        forecast: Tensor = self.head(self.dropout(tokens.flatten(1))).unflatten(0, (batch_size, num_channels))
        if covariates.future is not None and self.future_head is not None:
            coming = covariates.future[:, self.look_back :].flatten(1)  # (B, H * K)
            forecast = forecast + self.future_head(coming).unsqueeze(1)
        return forecast if self.quantiles is None else ascending(forecast.unflatten(-1, (self.horizon, -1)))

    def _patches(self, rows: Tensor) -> Tensor:
        """Rows (N, 1 + P + K, L) -> overlapping patches (N, T, (1 + P + K) * patch_size)."""
        padded = F.pad(rows, (0, self.stride), mode="replicate")
        return padded.unfold(-1, self.patch_size, self.stride).transpose(1, 2).flatten(2)


def _linear_if(in_features: int, out_features: int) -> nn.Linear | None:
    return nn.Linear(in_features, out_features, bias=False) if in_features else None
