"""ITransformer: a transformer whose tokens are the channels, so that attention runs across channels.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones,
V = C + P + K tokens, D hidden size.
"""

import torch
from torch import Tensor, nn

from models.layers import ReversibleNorm
from models.layers.dropout import Dropout


class ITransformer(nn.Module):
    """iTransformer (Liu et al., ICLR 2024): the whole window of a channel is one token.

    A linear layer embeds each window, post-norm encoder layers mix the channels, and a linear layer maps each channel's
    token to its horizon. Weights are shared by all channels and tokens have no position: channels may come in any
    order. As in the paper, past covariates are further tokens under the same embedding; beyond the paper, tokens of
    known-future covariates cover the horizon too, and static covariates are added to the token of their channel.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_future_covariates: K.
        num_static_covariates: S.
        hidden_size: Width D.
        feed_forward_size: Width of the feed-forward networks.
        num_layers: Encoder layers.
        num_heads: Attention heads.
        dropout: Dropout after the embedding and in the encoder layers.
        norm: Normalisation of each window.
    """

    def __init__(
        self,
        *,
        look_back: int,
        horizon: int,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
        hidden_size: int = 128,
        feed_forward_size: int = 128,
        num_layers: int = 2,
        num_heads: int = 8,
        dropout: float = 0.1,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(f"hidden_size: {hidden_size} given, a multiple of num_heads {num_heads} is needed")
        self.look_back = look_back
        self.norm = norm
        self.embedding = nn.Linear(look_back, hidden_size)
        self.future_embedding = nn.Linear(look_back + horizon, hidden_size) if num_future_covariates else None
        self.static_embedding = nn.Linear(num_static_covariates, hidden_size) if num_static_covariates else None
        self.dropout = Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            hidden_size, num_heads, feed_forward_size, dropout, "gelu", batch_first=True, norm_first=False
        )
        layer.dropout, layer.dropout1, layer.dropout2 = (Dropout(dropout) for _ in range(3))  # type: ignore[assignment]
        self.encoder = nn.TransformerEncoder(
            layer, num_layers, norm=nn.LayerNorm(hidden_size), enable_nested_tensor=False
        )
        self.head = nn.Linear(hidden_size, horizon)

    def forward(
        self,
        past: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Tensor:
        """Forecasts the horizon after each window.

        Args:
            past: (B, L, C).
            past_covariates: (B, L, P).
            future_covariates: (B, L + H, K), required if K > 0.
            static_covariates: (B, C, S), required if S > 0.

        Returns:
            (B, H, C).
        """
        num_channels, first = past.shape[2], past.shape[1] - self.look_back
        window, level, scale = self.norm(past.transpose(1, 2)[..., first:])  # (B, C, L)
        channels = self.embedding(window)  # (B, C, D)
        if static_covariates is not None and self.static_embedding is not None:
            channels = channels + self.static_embedding(static_covariates)
        tokens = [channels]
        if past_covariates is not None:
            tokens.append(self.embedding(past_covariates.transpose(1, 2)[..., first:]))
        if future_covariates is not None and self.future_embedding is not None:
            tokens.append(self.future_embedding(future_covariates.transpose(1, 2)[..., first:]))
        mixed = self.encoder(self.dropout(torch.cat(tokens, dim=1)))  # (B, V, D)
        forecast = self.head(mixed[:, :num_channels])  # (B, C, H)
        return self.norm.invert(forecast, level, scale).transpose(1, 2)
