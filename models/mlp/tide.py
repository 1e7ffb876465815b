"""TiDE: an encoder and decoder of MLPs over a window and its covariates.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones,
F projected covariates of a row, D hidden size.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers import ReversibleNorm
from models.layers.dropout import Dropout
from models.window_network import Covariates, WindowNetwork


class ResidualBlock(nn.Module):
    """MLP with one hidden layer and a linear skip connection.

    Args:
        input_size: Input features.
        hidden_size: Hidden features.
        output_size: Output features.
        dropout: Dropout after the MLP.
        layer_norm: Whether the output is normalised.
    """

    def __init__(
        self, *, input_size: int, hidden_size: int, output_size: int, dropout: float, layer_norm: bool = True
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, output_size), Dropout(dropout)
        )
        self.skip = nn.Linear(input_size, output_size)
        self.norm = nn.LayerNorm(output_size) if layer_norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """(..., input_size) -> (..., output_size)."""
        output: Tensor = self.norm(self.layers(features) + self.skip(features))
        return output


class TiDE(WindowNetwork):
    """TiDE (Das et al., TMLR 2023): dense encoder, dense decoder, and a decoder of each row with its covariates.

    The covariates of a row are projected to a few features. Encoder and decoder see the window of one channel, the
    projected covariates of all rows and the static covariates; the temporal decoder joins each row of the horizon with
    its own covariates, so that a holiday acts on its day directly. A linear map from window to horizon is added.
    Channels are forecast independently with shared weights.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_past_covariates: P.
        num_future_covariates: K.
        num_static_covariates: S.
        hidden_size: Width D of encoder and decoder.
        num_encoder_layers: Residual blocks of the encoder.
        num_decoder_layers: Residual blocks of the decoder.
        decoder_output_size: Features that the decoder gives each row of the horizon.
        temporal_hidden_size: Width of the temporal decoder and of the projection of covariates.
        projection_size: Features F to which the covariates of a row are projected.
        dropout: Dropout of the residual blocks.
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
        hidden_size: int = 256,
        num_encoder_layers: int = 1,
        num_decoder_layers: int = 1,
        decoder_output_size: int = 8,
        temporal_hidden_size: int = 32,
        projection_size: int = 4,
        dropout: float = 0.3,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__(look_back=look_back, horizon=horizon, norm=norm)
        for name, number in (("num_encoder_layers", num_encoder_layers), ("num_decoder_layers", num_decoder_layers)):
            if number < 1:
                raise ValueError(f"{name}: {number} given, at least 1 is needed")

        def block(
            input_size: int, output_size: int, width: int = hidden_size, *, layer_norm: bool = True
        ) -> ResidualBlock:
            return ResidualBlock(
                input_size=input_size,
                hidden_size=width,
                output_size=output_size,
                dropout=dropout,
                layer_norm=layer_norm,
            )

        def projection(num_covariates: int) -> ResidualBlock | None:
            return block(num_covariates, projection_size, temporal_hidden_size) if num_covariates else None

        self.past_projection = projection(num_past_covariates)
        self.future_projection = projection(num_future_covariates)
        past_size = look_back * projection_size if num_past_covariates else 0
        future_size = (look_back + horizon) * projection_size if num_future_covariates else 0
        sizes = [look_back + num_static_covariates + past_size + future_size, *[hidden_size] * num_encoder_layers]
        self.encoder = nn.Sequential(*(block(size, hidden_size) for size in sizes[:-1]))
        self.decoder = nn.Sequential(
            *(block(hidden_size, hidden_size) for _ in range(num_decoder_layers - 1)),
            block(hidden_size, horizon * decoder_output_size),
        )
        # No layer norm here: over the single output it would give a constant.
        row_size = decoder_output_size + (projection_size if num_future_covariates else 0)
        self.temporal_decoder = block(row_size, 1, temporal_hidden_size, layer_norm=False)
        self.skip = nn.Linear(look_back, horizon)

    @override
    def normalised_forecast(self, window: Tensor, covariates: Covariates) -> Tensor:
        num_channels = window.shape[1]
        features = [window]
        if covariates.static is not None:
            features.append(covariates.static)
        if covariates.past is not None and self.past_projection is not None:
            projected = self.past_projection(covariates.past)  # (B, L, F)
            features.append(_of_each_channel(projected.flatten(1), num_channels))
        coming: Tensor | None = None
        if covariates.future is not None and self.future_projection is not None:
            projected = self.future_projection(covariates.future)  # (B, L + H, F)
            features.append(_of_each_channel(projected.flatten(1), num_channels))
            coming = _of_each_channel(projected[:, self.look_back :], num_channels)  # (B, C, H, F)
        decoded = self.decoder(self.encoder(torch.cat(features, dim=-1)))
        rows = decoded.unflatten(-1, (self.horizon, -1))  # (B, C, H, decoder_output_size)
        if coming is not None:
            rows = torch.cat([rows, coming], dim=-1)
        forecast: Tensor = self.temporal_decoder(rows).squeeze(-1) + self.skip(window)  # (B, C, H)
        return forecast


def _of_each_channel(features: Tensor, num_channels: int) -> Tensor:
    """(B, ...) -> (B, C, ...), the same for each channel."""
    return features.unsqueeze(1).expand(-1, num_channels, *features.shape[1:])
