"""ITransformer: a transformer whose tokens are the channels, so that attention runs across channels.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones,
V = C + P + K tokens, D hidden size.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers import ReversibleNorm
from models.layers.dropout import Dropout
from models.window_network import Covariates, WindowNetwork


class ITransformer(WindowNetwork):
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
        super().__init__(look_back=look_back, horizon=horizon, norm=norm)
        if hidden_size % num_heads:
            raise ValueError(f"hidden_size: {hidden_size} given, a multiple of num_heads {num_heads} is needed")
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

    @override
    def normalised_forecast(self, window: Tensor, covariates: Covariates) -> Tensor:
        channels = self.embedding(window)  # (B, C, D)
        if covariates.static is not None and self.static_embedding is not None:
            channels = channels + self.static_embedding(covariates.static)
        tokens = [channels]
        if covariates.past is not None:
            tokens.append(self.embedding(covariates.past.transpose(1, 2)))
        if covariates.future is not None and self.future_embedding is not None:
            tokens.append(self.future_embedding(covariates.future.transpose(1, 2)))
        mixed = self.encoder(self.dropout(torch.cat(tokens, dim=1)))  # (B, V, D)
        forecast: Tensor = self.head(mixed[:, : window.shape[1]])  # (B, C, H)
        return forecast
