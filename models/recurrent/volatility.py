"""Streaming features of a price series: volatility, returns and moving averages of the past."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.recurrent.encoder import Encoder
from models.recurrent.state import RecurrentState

Units = Literal["log_return", "level"]

_VOLATILITY_DECAYS = (0.97, 0.9, 0.99)
"""Decay factors of the volatilities; that of the first (RiskMetrics, 1996, monthly horizons) scales all features."""
_SPANS = (5, 21, 63, 252)
_MAX_DEVIATION = 8.0
_LEAST_SHARE = 1e-3
_NOT_YET = -20.0


@dataclass(frozen=True)
class PriceState:
    """Exponentially decaying sums over the past of a series, the complete state of its features.

    Attributes:
        last: Last value (B, 1).
        sums: Decaying sums of steps, of squared steps and of ones, (B, F).
        count: Number of values of the document so far (B, 1).
    """

    last: Tensor
    sums: Tensor
    count: Tensor


class StreamedPrices(Encoder):
    """Wraps an encoder: causal features of a raw price or level series, scaled by the series' volatility.

    A step is a log return (`log_return`) or a difference (`level`); volatility is the root of an exponentially weighted
    mean of squared steps. Features: the last step, the value's deviation from its moving averages, and changes of the
    volatility, all scale-free so that series of any size compare.

    Args:
        encoder: Encodes the features.
        units: Definition of a step; `log_return` needs positive values.
        warm_up: Steps before the volatility is used.
    """

    decays: Tensor
    spans: Tensor
    usual_log_volatility: Tensor

    def __init__(self, *, encoder: Encoder, units: Units, warm_up: int) -> None:
        super().__init__()
        if units not in ("log_return", "level"):
            raise ValueError(f"model.units: {units!r} given, allowed are 'log_return' and 'level'")
        if warm_up < 2:
            raise ValueError(f"model.warm_up: {warm_up} given, at least 2 is needed for a volatility")
        self.encoder = encoder
        self.units = units
        self.warm_up = warm_up
        self.input_size = 1
        self.output_size = encoder.output_size + 1
        mean_decays = tuple(1 - 1 / span for span in _SPANS)
        decays = (*mean_decays, *_VOLATILITY_DECAYS, *_VOLATILITY_DECAYS)
        self.register_buffer("decays", torch.tensor(decays), persistent=False)  # (F,)
        self.register_buffer("spans", torch.tensor(_SPANS, dtype=torch.float32), persistent=False)
        self.register_buffer("usual_log_volatility", torch.tensor(_NOT_YET))
        self.projection = nn.Linear(1 + len(_SPANS) + len(_VOLATILITY_DECAYS), encoder.input_size)

    @override
    def initial_state(self, num_lanes: int) -> RecurrentState:
        zeros = self.usual_log_volatility.new_zeros(num_lanes, 1)
        sums = zeros.expand(num_lanes, len(self.decays))
        return PriceState(last=zeros, sums=sums, count=zeros), self.encoder.initial_state(num_lanes)

    @override
    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        prices, inner = state
        volatility, features, prices = self._features(chunk, prices, torch.zeros_like(chunk[..., 0], dtype=torch.bool))
        output, inner = self.encoder.encode(self.projection(features), inner)
        return torch.cat([output, volatility], dim=-1), (prices, inner)

    @override
    def encode_documents(self, chunk: Tensor, state: RecurrentState, reset: Tensor) -> tuple[Tensor, RecurrentState]:
        """As in `Encoder`; the last output feature is the volatility, 0 during the warm-up."""
        prices, inner = state
        volatility, features, prices = self._features(chunk, prices, reset)
        output, inner = self.encoder.encode_documents(self.projection(features), inner, reset)
        return torch.cat([output, volatility], dim=-1), (prices, inner)

    def _features(self, chunk: Tensor, state: PriceState, reset: Tensor) -> tuple[Tensor, Tensor, PriceState]:
        with torch.autocast(chunk.device.type, enabled=False):  # bfloat16 integers are exact only up to 256
            return self.features(chunk, state, reset)

    def features(self, chunk: Tensor, state: PriceState, reset: Tensor) -> tuple[Tensor, Tensor, PriceState]:
        """Volatility and features of each step, from the steps up to it in its document.

        Args:
            chunk: Raw values (B, L, 1).
            state: State after the previous chunk.
            reset: bool (B, L).

        Returns:
            volatility: (B, L, 1), 0 in the warm-up.
            features: (B, L, F).
            state: State after the last step.
        """
        values = chunk.float()
        before = torch.cat([state.last.unsqueeze(1), values[:, :-1]], dim=1)
        first = reset | ((state.count == 0) & (torch.arange(values.shape[1], device=values.device) == 0))
        before = torch.where(first.unsqueeze(-1), values, before)  # the first value of a document has no step
        if self.units == "log_return":
            tiny = torch.finfo(values.dtype).tiny  # data modules refuse non-positive prices; this keeps an error finite
            steps = (values.clamp_min(tiny) / before.clamp_min(tiny)).log()
        else:
            steps = values - before
        moved = (~first).to(values.dtype).unsqueeze(-1)
        num_means, num_volatilities = len(_SPANS), len(_VOLATILITY_DECAYS)
        inputs = torch.cat(
            [
                steps.mul(moved).expand(-1, -1, num_means),
                steps.square().mul(moved).expand(-1, -1, num_volatilities),
                moved.expand(-1, -1, num_volatilities),
            ],
            dim=-1,
        )  # (B, L, F)
        sums = faded_sums(inputs, self.decays, state.sums, first)
        count = faded_sums(torch.ones_like(moved), self.decays.new_ones(1), state.count, reset)
        deviations, squares, weights = sums.split([num_means, num_volatilities, num_volatilities], dim=-1)
        # Volatility is zero for a constant series: a fraction of the typical one keeps the features finite.
        least = (2 * self.usual_log_volatility).exp() * _LEAST_SHARE**2
        volatilities = (squares / weights.clamp_min(1.0)).clamp_min(least).sqrt()
        unit = volatilities[..., :1]
        log_volatility = volatilities.log()
        features = torch.cat(
            [
                (steps * moved / unit).clamp(-_MAX_DEVIATION, _MAX_DEVIATION),
                (deviations / (unit * self.spans.sqrt())).clamp(-_MAX_DEVIATION, _MAX_DEVIATION),
                log_volatility[..., :1] - self.usual_log_volatility,
                log_volatility[..., 1:] - log_volatility[..., :1],
            ],
            dim=-1,
        )
        trusted = count > self.warm_up
        volatility = torch.where(trusted, unit, 0.0)
        after = PriceState(last=values[:, -1], sums=sums[:, -1], count=count[:, -1])
        return volatility, torch.where(trusted, features, 0.0), after

    def to_levels(self, quantiles: Tensor, values: Tensor, volatility: Tensor) -> Tensor:
        """Converts quantiles of the head, in volatilities times the root of the horizon, to raw units.

        Args:
            quantiles: (N, H, Q).
            values: Raw values at the origins (N,).
            volatility: (N,).
        """
        moves = quantiles * self._spread(volatility, quantiles.shape[1]).unsqueeze(-1)
        origin = values[:, None, None]
        return origin * moves.exp() if self.units == "log_return" else origin + moves

    def to_units(self, future: Tensor, values: Tensor, volatility: Tensor) -> Tensor:
        """Converts raw future values (N, H) to volatilities times the root of the horizon; inverse of `to_levels`."""
        origin = values[:, None]
        moves = (future / origin).log() if self.units == "log_return" else future - origin
        return moves / self._spread(volatility, future.shape[1])

    def _spread(self, volatility: Tensor, horizon: int) -> Tensor:
        return volatility[:, None] * torch.arange(1, horizon + 1, device=volatility.device).sqrt()


def faded_sums(inputs: Tensor, decays: Tensor, carried: Tensor, reset: Tensor) -> Tensor:
    """y_t = decay * y_{t-1} + x_t for all steps at once; a reset sets y_{t-1} to zero.

    Args:
        inputs: x (B, L, F).
        decays: (F,).
        carried: y before the first step (B, F).
        reset: bool (B, L).

    Returns:
        y (B, L, F).
    """
    length = inputs.shape[1]
    document = reset.cumsum(dim=1)  # (B, L)
    same = document.unsqueeze(2) == document.unsqueeze(1)  # (B, L, L)
    steps = torch.arange(length, device=inputs.device)
    lag = steps[:, None] - steps[None, :]
    fading = torch.where(lag >= 0, decays[:, None, None] ** lag.clamp_min(0), 0.0)  # (F, L, L)
    within = torch.einsum("fts,bts,bsf->btf", fading, same.to(inputs.dtype), inputs)
    fresh = (document > 0).unsqueeze(-1)
    return within + torch.where(fresh, 0.0, decays ** (steps[:, None] + 1) * carried.unsqueeze(1))


@torch.no_grad()
def stream_features(prices: StreamedPrices, series: Tensor, *, chunk_size: int = 256) -> tuple[Tensor, Tensor]:
    """Volatility and features of one whole series, computed chunk by chunk.

    Args:
        prices: Computes the features.
        series: Raw values (T,).
        chunk_size: Steps at a time.

    Returns:
        volatility: (T,), 0 in the warm-up.
        features: (T, F).
    """
    state, _ = prices.initial_state(1)
    volatilities, features = [], []
    for chunk in series.split(chunk_size):
        reset = torch.zeros(1, len(chunk), dtype=torch.bool, device=chunk.device)
        volatility, feature, state = prices.features(chunk[None, :, None], state, reset)
        volatilities.append(volatility[0, :, 0])
        features.append(feature[0])
    return torch.cat(volatilities), torch.cat(features)
