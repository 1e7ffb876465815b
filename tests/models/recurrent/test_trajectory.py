from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.recurrent import (
    DeltaMemory,
    GRUEncoder,
    LSTMEncoder,
    StackedEncoder,
    TinyRecursiveModel,
    TrajectoryForecaster,
)
from models.recurrent.volatility import StreamedPrices, faded_sums, stream_features

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


ENCODERS = {
    "lstm": lambda: LSTMEncoder(input_size=5, hidden_size=6),
    "gru": lambda: GRUEncoder(input_size=5, hidden_size=6),
    "delta memory": lambda: DeltaMemory(input_size=6, num_heads=2, num_slots=4, value_size=4),
    "delta memory and recursion": lambda: StackedEncoder(
        encoders=[
            DeltaMemory(input_size=6, num_layers=1, num_heads=2, num_slots=4, value_size=4),
            TinyRecursiveModel(input_size=6, hidden_size=8, num_latent_updates=1, num_recursions=2, num_heads=2),
        ]
    ),
}


def make_model(units: str = "log_return", encoder: str = "lstm") -> TrajectoryForecaster:
    torch.manual_seed(0)
    return TrajectoryForecaster(
        encoder=ENCODERS[encoder](),
        horizon=5,
        chunk_size=16,
        warm_up=8,
        quantiles=LEVELS,
        units=units,  # type: ignore[arg-type]
    ).eval()


def prices(length: int, seed: int = 0) -> Tensor:
    return 100 * (0.01 * torch.randn(length, generator=torch.Generator().manual_seed(seed))).cumsum(0).exp()


@given(
    length=st.integers(1, 12), resets=st.sets(st.integers(0, 11)), decay=st.floats(0.1, 1.0), seed=st.integers(0, 99)
)
@settings(max_examples=50, deadline=None)
def test_faded_sums_equal_their_recursion(length: int, resets: set[int], decay: float, seed: int) -> None:
    torch.manual_seed(seed)
    inputs, carried = torch.randn(2, length, 1, dtype=torch.float64), torch.randn(2, 1, dtype=torch.float64)
    reset = torch.zeros(2, length, dtype=torch.bool)
    reset[1, [step for step in resets if step < length]] = True
    found = faded_sums(inputs, torch.tensor([decay], dtype=torch.float64), carried, reset)
    state = carried
    for step in range(length):
        state = torch.where(reset[:, step, None], 0.0, decay * state) + inputs[:, step]
        torch.testing.assert_close(found[:, step], state, rtol=1e-12, atol=1e-12)


def test_features_do_not_depend_on_how_the_series_is_cut() -> None:
    streamed = StreamedPrices(encoder=LSTMEncoder(input_size=5, hidden_size=6), units="log_return", warm_up=8)
    whole = stream_features(streamed, prices(100), chunk_size=100)
    for size in (1, 7, 64):
        parts = stream_features(streamed, prices(100), chunk_size=size)
        for one, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:this CPU has no LSTM in half precision")
def test_volatility_is_as_precise_under_autocast() -> None:
    streamed = make_model().prices
    chunk, reset = prices(400).view(1, -1, 1), torch.zeros(1, 400, dtype=torch.bool)
    exact, _ = streamed.encode_documents(chunk, streamed.initial_state(1), reset)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = streamed.encode_documents(chunk, streamed.initial_state(1), reset)
    assert torch.equal(found[..., -1], exact[..., -1])


def test_volatility_is_that_of_an_exponentially_weighted_mean() -> None:
    streamed = StreamedPrices(encoder=LSTMEncoder(input_size=5, hidden_size=6), units="level", warm_up=8)
    series = prices(60)
    volatility, _ = stream_features(streamed, series)
    squares = np.diff(series.double().numpy()) ** 2
    weights = 0.97 ** np.arange(59)[::-1]
    assert float(volatility[-1]) == pytest.approx(np.sqrt((weights * squares).sum() / weights.sum()), rel=1e-5)
    assert (volatility[:8] == 0).all()
    assert (volatility[8:] > 0).all()


@pytest.mark.parametrize("units", ["log_return", "level"])
def test_units_and_levels_are_inverses(units: str) -> None:
    streamed = make_model(units).prices
    future, values, volatility = torch.rand(4, 5) + 0.5, torch.rand(4) + 0.5, torch.rand(4)
    there = streamed.to_units(future, values, volatility)
    torch.testing.assert_close(streamed.to_levels(there.unsqueeze(-1), values, volatility)[..., 0], future)


def batch_of(series: Tensor, start: int, stop: int) -> dict[str, Tensor]:
    rows = torch.arange(start, stop)[None]
    reset = rows == 0
    future = series[(rows[..., None] + torch.arange(1, 6)).clamp_max(len(series) - 1)]
    return {"values": series[rows], "future": future, "row": rows, "valid": torch.ones_like(reset), "reset": reset}


def streamed_forecasts(model: TrajectoryForecaster, series: Tensor) -> dict[int, Tensor]:
    found = {}
    with torch.no_grad():
        for index, (start, stop) in enumerate(pairwise(range(0, 97, 16))):
            outputs = model.predict_step(batch_of(series, start, stop), index)
            found |= dict(zip(outputs["row"].tolist(), outputs["forecast"], strict=True))
    return found


def trained_model(encoder: str = "lstm") -> TrajectoryForecaster:
    model = make_model(encoder=encoder)
    model.set_base([prices(200, seed) for seed in range(3)])
    torch.nn.init.normal_(model.head.correction.weight, std=0.3)
    return model


@pytest.mark.parametrize("encoder", ENCODERS)
def test_shuffling_the_future_leaves_every_earlier_forecast_unchanged(encoder: str) -> None:
    model, series = trained_model(encoder), prices(96)
    before = streamed_forecasts(model, series)
    changed = series.clone()
    changed[50:] = changed[50:][torch.randperm(46)]
    after = streamed_forecasts(model, changed)
    assert sorted(before) == list(range(8, 96))
    assert all(torch.equal(before[row], after[row]) for row in range(8, 50))
    assert not torch.equal(before[60], after[60])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_history_given_at_once_is_forecast_as_when_streamed(encoder: str) -> None:
    model, series = trained_model(encoder), prices(96)
    torch.testing.assert_close(model(series[None])[0], streamed_forecasts(model, series)[95], rtol=1e-4, atol=1e-3)


def test_the_untrained_model_gives_the_classical_forecast_and_it_is_calibrated_in_training() -> None:
    model = make_model()
    train = [prices(400, seed) for seed in range(5)]
    model.set_base(train)
    with torch.no_grad():
        outputs = [model.predict_step(batch_of(series, 0, 390), 0) for series in train]
    for output in outputs:
        torch.testing.assert_close(output["forecast"], output["classical"])
    shares = []
    for series, output in zip(train, outputs, strict=True):
        actual = series[output["row"][:, None] + torch.arange(1, 6)]
        shares.append((actual.unsqueeze(-1) <= output["forecast"]).float().mean((0, 1)))
    torch.testing.assert_close(torch.stack(shares).mean(0), torch.tensor(LEVELS), atol=0.01, rtol=0)


def test_the_unit_makes_forecasts_scale_with_the_series() -> None:
    model, series = trained_model(), prices(96)
    torch.testing.assert_close(model(1000 * series[None]), 1000 * model(series[None]), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"units": "percent"}, "allowed are 'log_return' and 'level'"), ({"warm_up": 1}, "at least 2 is needed")],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrajectoryForecaster(
            encoder=LSTMEncoder(input_size=5, hidden_size=6), horizon=5, chunk_size=16, **options  # type: ignore[arg-type]
        )  # fmt: skip


def test_stacked_encoders_must_fit_together() -> None:
    with pytest.raises(ValueError, match="GRUEncoder gives 6 features, and LSTMEncoder behind it reads 5"):
        StackedEncoder(encoders=[ENCODERS["gru"](), ENCODERS["lstm"]()])
    with pytest.raises(ValueError, match="at least one is needed"):
        StackedEncoder(encoders=[])


def test_a_history_no_longer_than_the_warm_up_is_refused() -> None:
    with pytest.raises(ValueError, match="values: 8 steps given, more than warm_up 8 are needed"):
        trained_model()(prices(8)[None])


def test_levels_are_those_of_the_evaluation() -> None:
    from lightning_app.evaluation.trajectories.levels import LEVELS as EVALUATED
    from models.recurrent.trajectory import LEVELS as FORECAST

    assert FORECAST == EVALUATED
