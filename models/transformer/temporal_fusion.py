"""TemporalFusionTransformer: variable selection, an LSTM encoder and decoder, and attention that can be read.

Shapes: B windows, C channels, L look-back, H horizon, P past and K known-future covariates, S static ones,
N = B * C, D hidden size, Q quantiles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers import ReversibleNorm, ascending, ascending_levels
from models.recurrent.gated import LSTMEncoder
from models.transformer.interpretable_attention import InterpretableAttention
from models.transformer.variable_selection import GatedResidualNetwork, GatedSkip, VariableSelection
from models.window_network import Covariates, WindowNetwork


class VariableWeights(NamedTuple):
    """What a forecast depended on: positive weights with sum 1 in the last dimension.

    Attributes:
        past: (B, C, L, 2 + P + K): target, number of the row, past covariates, known-future covariates.
        future: (B, C, H, 1 + K): number of the row, known-future covariates.
        static: (B, C, S), None without static covariates.
        rows: (B, C, H, L + H), the attention of each row of the horizon.
    """

    past: Tensor
    future: Tensor
    static: Tensor | None
    rows: Tensor


class _Selected(NamedTuple):
    """Selected inputs past (B, C, L, D) and coming (B, C, H, D), contexts (B, C, D), weights of the selections."""

    past: Tensor
    coming: Tensor
    contexts: list[Tensor] | None
    past_weights: Tensor
    future_weights: Tensor
    static_weights: Tensor | None


class TemporalFusionTransformer(WindowNetwork):
    """Temporal fusion transformer, TFT (Lim et al., International Journal of Forecasting, 2021).

    Every row of the window selects among the target and the covariates, every row of the horizon among the
    known-future covariates; an LSTM encodes the window and decodes the horizon; each row of the horizon attends to
    all rows before it. Static covariates steer selection, LSTM and enrichment. The number of the row is a known input
    too, so that the horizon has one where there is no covariate. Channels are forecast independently with shared
    weights.

    Args:
        look_back: Input rows, L.
        horizon: Forecast rows, H.
        num_past_covariates: P.
        num_future_covariates: K.
        num_static_covariates: S.
        quantiles: Levels to forecast; None for point forecasts. Quantiles never cross, by construction.
        hidden_size: Width D.
        num_heads: Attention heads.
        num_layers: Layers of the LSTM.
        dropout: Dropout before every gate.
        norm: Normalisation of each window.
    """

    position: Tensor

    def __init__(
        self,
        *,
        look_back: int,
        horizon: int,
        num_past_covariates: int = 0,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
        quantiles: Sequence[float] | None = None,
        hidden_size: int = 32,
        num_heads: int = 4,
        num_layers: int = 1,
        dropout: float = 0.1,
        norm: ReversibleNorm,
    ) -> None:
        super().__init__(look_back=look_back, horizon=horizon, norm=norm)
        self.quantiles = None if quantiles is None else ascending_levels(quantiles)
        self.num_layers = num_layers
        context_size = hidden_size if num_static_covariates else 0

        def selection(num_variables: int, context_size: int) -> VariableSelection:
            return VariableSelection(
                num_variables=num_variables, hidden_size=hidden_size, context_size=context_size, dropout=dropout
            )

        def residual(context_size: int = 0) -> GatedResidualNetwork:
            return GatedResidualNetwork(
                input_size=hidden_size,
                hidden_size=hidden_size,
                output_size=hidden_size,
                context_size=context_size,
                dropout=dropout,
            )

        def gate() -> GatedSkip:
            return GatedSkip(input_size=hidden_size, output_size=hidden_size, dropout=dropout)

        rows = torch.arange(-look_back, horizon, dtype=torch.float32)
        self.register_buffer("position", rows / max(look_back, horizon), persistent=False)
        self.static_selection = selection(num_static_covariates, 0) if num_static_covariates else None
        # Contexts of the variable selection, the LSTM's hidden and cell state, and the enrichment.
        self.contexts = nn.ModuleList(residual() for _ in range(4 if num_static_covariates else 0))
        self.past_selection = selection(2 + num_past_covariates + num_future_covariates, context_size)
        self.future_selection = selection(1 + num_future_covariates, context_size)
        self.encoder = LSTMEncoder(input_size=hidden_size, hidden_size=hidden_size, num_layers=num_layers)
        self.decoder = LSTMEncoder(input_size=hidden_size, hidden_size=hidden_size, num_layers=num_layers)
        self.recurrent_gate = gate()
        self.enrichment = residual(context_size)
        self.attention = InterpretableAttention(
            hidden_size=hidden_size, num_heads=num_heads, num_rows=look_back + horizon, num_queries=horizon
        )
        self.attention_gate = gate()
        self.feed_forward = residual()
        self.output_gate = gate()
        self.head = nn.Linear(hidden_size, len(self.quantiles) if self.quantiles else 1)

    @override
    def normalised_forecast(self, window: Tensor, covariates: Covariates) -> Tensor:
        enriched, temporal = self._encode(self._select(window, covariates))
        attended = self.attention_gate(self.attention(enriched), enriched[:, -self.horizon :])
        features = self.output_gate(self.feed_forward(attended), temporal[:, -self.horizon :])
        forecast: Tensor = self.head(features).unflatten(0, window.shape[:2])  # (B, C, H, Q)
        return forecast.squeeze(-1) if self.quantiles is None else ascending(forecast)

    @torch.no_grad()
    def variable_weights(
        self,
        past: Tensor,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> VariableWeights:
        """Weights of variables and rows; the arguments are those of `forward`."""
        window, _, _ = self.norm(past.transpose(1, 2)[..., -self.look_back :])
        covariates = self.covariates_of(past, past_covariates, future_covariates, static_covariates)
        selected = self._select(window, covariates)
        enriched, _ = self._encode(selected)
        attention = self.attention.weights(enriched)
        return VariableWeights(
            past=selected.past_weights,
            future=selected.future_weights.expand(*window.shape[:2], -1, -1),
            static=selected.static_weights,
            rows=attention.unflatten(0, window.shape[:2]),
        )

    def _select(self, window: Tensor, covariates: Covariates) -> _Selected:
        """Selects among the variables of each row; the window is (B, C, L)."""
        known = [self.position.expand(1, 1, -1), *_columns(covariates.future)]
        contexts, static_weights = None, None
        if self.static_selection is not None and covariates.static is not None:
            static, static_weights = self.static_selection(covariates.static.unbind(dim=-1))
            contexts = [context(static) for context in self.contexts]
        context = None if contexts is None else contexts[0].unsqueeze(2)  # (B, C, 1, D)
        position, *before = (value[..., : self.look_back] for value in known)
        observed = [window, position, *_columns(covariates.past), *before]
        past, past_weights = self.past_selection(observed, context)
        coming, future_weights = self.future_selection([value[..., self.look_back :] for value in known], context)
        coming = coming.expand(*window.shape[:2], -1, -1)
        return _Selected(past, coming, contexts, past_weights, future_weights, static_weights)

    def _encode(self, selected: _Selected) -> tuple[Tensor, Tensor]:
        """Rows of window and horizon with and without static enrichment, both (N, L + H, D)."""
        past, coming = selected.past.flatten(0, 1), selected.coming.flatten(0, 1)  # (N, L, D), (N, H, D)
        state, context = self.encoder.initial_state(past.shape[0]), None
        if selected.contexts is not None:
            hidden, cell, context = (value.flatten(0, 1).unsqueeze(1) for value in selected.contexts[1:])  # (N, 1, D)
            state = tuple(start.expand(-1, self.num_layers, -1) for start in (hidden, cell))
        encoded, state = self.encoder.encode(past, state)
        decoded, _ = self.decoder.encode(coming, state)
        temporal = self.recurrent_gate(torch.cat([encoded, decoded], dim=1), torch.cat([past, coming], dim=1))
        return self.enrichment(temporal, context), temporal


def _columns(covariates: Tensor | None) -> list[Tensor]:
    """Columns of covariates (B, rows, P), each (B, 1, rows)."""
    return [] if covariates is None else [column.unsqueeze(1) for column in covariates.unbind(dim=-1)]
