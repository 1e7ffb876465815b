"""Properties of every forecasting network, through `forward`."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from models import (
    NBEATS,
    AutoregressiveForecaster,
    CascadedMLP,
    DeepAR,
    Forecaster,
    GRUEncoder,
    ITransformer,
    LSTMEncoder,
    NHiTS,
    PatchTransformer,
    PhaseTransformer,
    PinballLoss,
    RepeatLast,
    ReversibleNorm,
    SeasonalNaive,
    TemporalFusionTransformer,
    TiDE,
    WindowLinear,
)
from models.baselines.ridge import FixedLinear

L, H, C = 48, 12, 3
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "phase": lambda: PhaseTransformer(look_back=L, horizon=H, period=8, hidden_size=8),
    "phase, look-back and horizon no multiple of the period": lambda: PhaseTransformer(
        look_back=L, horizon=H, period=7, hidden_size=8
    ),
    "patch": lambda: PatchTransformer(
        look_back=L, horizon=H, patch_size=8, stride=4, norm=ReversibleNorm(mode="std"), num_layers=1
    ),
    "linear": lambda: WindowLinear(look_back=L, horizon=H, norm=ReversibleNorm(mode="std")),
    "linear, a map for each channel": lambda: WindowLinear(
        look_back=L, horizon=H, norm=ReversibleNorm(mode="std"), channels="separate", num_channels=C
    ),
    "ridge": lambda: FixedLinear(look_back=L, horizon=H, norm=ReversibleNorm(mode="mean")),
    "cascade": lambda: CascadedMLP(
        num_channels=C, look_back=L, horizon=H, hidden_size=16, norm=ReversibleNorm(mode="std")
    ),
    "inverted": lambda: ITransformer(
        look_back=L, horizon=H, hidden_size=16, num_layers=1, num_heads=2, norm=ReversibleNorm(mode="std")
    ),
    "n-hits": lambda: NHiTS(look_back=L, horizon=H, hidden_size=16, norm=ReversibleNorm(mode="std")),
    "n-hits, sizes that do not divide": lambda: NHiTS(
        look_back=L,
        horizon=H,
        pool_sizes=[7, 5],
        knot_spacings=[5, 12],
        num_blocks=2,
        hidden_size=16,
        norm=ReversibleNorm(mode="last"),
    ),
    "n-beats": lambda: NBEATS(look_back=L, horizon=H, hidden_size=16, norm=ReversibleNorm(mode="std")),
    "n-beats, interpretable": lambda: n_beats(),
    "n-beats, one generic stack of shared weights": lambda: n_beats(stacks=["generic"]),
    "tide": lambda: TiDE(
        look_back=L,
        horizon=H,
        hidden_size=16,
        num_encoder_layers=2,
        num_decoder_layers=2,
        norm=ReversibleNorm(mode="std"),
    ),
    "fusion": lambda: fusion(),
    "fusion, two layers": lambda: fusion(num_layers=2, num_heads=1),
    "deepar": lambda: deepar(),
    "deepar, heavy tails and lags": lambda: deepar(
        encoder=GRUEncoder(input_size=5, hidden_size=6, num_layers=2), lags=[1, 8], degrees_of_freedom=4.0
    ),
    "repeat-last": lambda: RepeatLast(horizon=H),
    "seasonal": lambda: SeasonalNaive(look_back=L, horizon=H, period=5),
}


def n_beats(**changes: object) -> NBEATS:
    """The interpretable network."""
    arguments = {
        "look_back": L,
        "horizon": H,
        "stacks": ["trend", "seasonality"],
        "num_blocks": 2,
        "share_weights": True,
        "hidden_size": 16,
        "norm": ReversibleNorm(mode="std"),
    }
    return NBEATS(**{**arguments, **changes})


def fusion(**changes: object) -> TemporalFusionTransformer:
    arguments = {"look_back": L, "horizon": H, "hidden_size": 8, "num_heads": 2, "norm": ReversibleNorm(mode="std")}
    return TemporalFusionTransformer(**{**arguments, **changes})


def deepar(**changes: object) -> DeepAR:
    encoder = LSTMEncoder(input_size=6, hidden_size=7)
    arguments = {"encoder": encoder, "look_back": L, "horizon": H, "num_paths": 5, "norm": ReversibleNorm(mode="std")}
    return DeepAR(**{**arguments, **changes})


every_network = pytest.mark.parametrize("name", NETWORKS)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    for parameter in network.parameters():  # heads start at zero, which would hide mistakes behind them
        nn.init.normal_(parameter, std=0.1)
    return network


@every_network
@pytest.mark.parametrize("batch_size", [0, 1, 5])
def test_a_window_becomes_a_horizon(name: str, batch_size: int) -> None:
    assert build(name)(torch.randn(batch_size, L, C)).shape == (batch_size, H, C)


@every_network
def test_a_forecast_does_not_depend_on_its_batch(name: str) -> None:
    network, past = build(name), torch.randn(6, L, C)
    together = network(past)
    torch.testing.assert_close(torch.cat([network(past[:2]), network(past[2:])]), together, atol=1e-5, rtol=1e-4)


@every_network
def test_a_longer_look_back_than_needed_changes_nothing(name: str) -> None:
    network, past = build(name), torch.randn(2, L + 9, C)
    torch.testing.assert_close(network(past), network(past[:, -L:]))


@every_network
def test_a_level_shift_of_the_window_shifts_the_forecast(name: str) -> None:
    network, past = build(name), torch.randn(2, L, C)
    torch.testing.assert_close(network(past + 100), network(past) + 100, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("cascade", "linear, a map for each channel")]
)
def test_channels_are_forecast_one_by_one_with_shared_weights(name: str) -> None:
    network, past = build(name), torch.randn(2, L, C)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(network(past[..., order]), network(past)[..., order], atol=1e-5, rtol=1e-4)


def test_separate_maps_keep_channels_apart_and_learn_each_its_own() -> None:
    network, past = build("linear, a map for each channel"), torch.randn(2, L, C)
    changed = past.clone()
    changed[..., 0] = torch.randn(2, L)
    torch.testing.assert_close(network(changed)[..., 1:], network(past)[..., 1:])
    network(past)[..., 0].sum().backward()
    assert network.map.weight.grad[0].any()
    assert not network.map.weight.grad[1:].any()
    with pytest.raises(ValueError, match="num_channels: none given"):
        WindowLinear(look_back=L, horizon=H, norm=ReversibleNorm(mode="std"), channels="separate")


@pytest.mark.parametrize("name", [name for name in NETWORKS if list(NETWORKS[name]().parameters())])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = build(name).train()
    outputs = network.cascade(torch.randn(4, L, C)) if name == "cascade" else [network(torch.randn(4, L, C))]
    sum(output.square().mean() for output in outputs).backward()
    without = [
        key for key, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not without


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.startswith("deepar") else ()) for name in NETWORKS]
)
def test_forward_is_exportable_with_a_dynamic_batch(name: str) -> None:
    module = Forecaster(network=build(name), loss=nn.MSELoss(), num_channels=C, look_back=L, horizon=H).eval()
    example = module.example_inputs()
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.export.export(
        module, (), example, dynamic_shapes={key: {0: batch} for key in example}, strict=False
    ).module()
    past = torch.randn(7, L, C)
    torch.testing.assert_close(program(past=past), module(past), atol=1e-5, rtol=1e-4)


def test_the_phase_transformer_starts_as_a_seasonal_linear_forecast() -> None:
    network = PhaseTransformer(look_back=L, horizon=H, period=8)
    torch.manual_seed(1)
    past = torch.randn(2, L, C)
    before = network.eval()(past)
    for parameter in network.blocks.parameters():
        nn.init.normal_(parameter)
    torch.testing.assert_close(network(past), before)


def test_repeat_last_and_seasonal_naive_say_what_they_are_called() -> None:
    past = torch.arange(L, dtype=torch.float32).reshape(1, L, 1)
    assert RepeatLast(horizon=3)(past).flatten().tolist() == [47, 47, 47]
    assert SeasonalNaive(look_back=L, horizon=7, period=5)(past).flatten().tolist() == [43, 44, 45, 46, 47, 43, 44]


def patch_with_covariates(**changes: object) -> PatchTransformer:
    torch.manual_seed(0)
    arguments = {"look_back": L, "horizon": H, "norm": ReversibleNorm(mode="std"), "num_layers": 1, **changes}
    return PatchTransformer(**arguments).eval()


WITH_COVARIATES: dict[str, Callable[[], nn.Module]] = {
    "patch": lambda: patch_with_covariates(num_past_covariates=2, num_future_covariates=1, num_static_covariates=3),
    "inverted": lambda: ITransformer(
        look_back=L, horizon=H, num_future_covariates=1, num_static_covariates=3, norm=ReversibleNorm(mode="std")
    ),
    "tide": lambda: TiDE(
        look_back=L,
        horizon=H,
        num_past_covariates=2,
        num_future_covariates=1,
        num_static_covariates=3,
        hidden_size=16,
        norm=ReversibleNorm(mode="std"),
    ),
    "fusion": lambda: fusion(num_past_covariates=2, num_future_covariates=1, num_static_covariates=3),
    "n-hits": lambda: n_hits(
        look_back=L, horizon=H, num_past_covariates=2, num_future_covariates=1, num_static_covariates=3
    ),
    "n-beats": lambda: n_beats(num_past_covariates=2, num_future_covariates=1, num_static_covariates=3),
    "n-beats, exogenous": lambda: n_beats(
        stacks=["trend", "exogenous"], num_past_covariates=2, num_future_covariates=1, num_static_covariates=3
    ),
}


@pytest.mark.parametrize("name", WITH_COVARIATES)
def test_each_kind_of_covariate_changes_the_forecast(name: str) -> None:
    torch.manual_seed(0)
    network = WITH_COVARIATES[name]().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    inputs = {
        "past": torch.randn(2, L, C),
        "past_covariates": torch.randn(2, L, 2),
        "future_covariates": torch.randn(2, L + H, 1),
        "static_covariates": torch.randn(2, C, 3),
    }
    reference = network(**inputs)
    for kind in ("past_covariates", "future_covariates", "static_covariates"):
        changed = network(**{**inputs, kind: inputs[kind] + torch.randn_like(inputs[kind])})
        assert not torch.allclose(changed, reference), kind
    beyond = inputs["future_covariates"].clone()
    beyond[:, L:] += 1
    assert not torch.allclose(network(**{**inputs, "future_covariates": beyond}), reference)
    longer = {
        kind: value if kind == "static_covariates" else torch.cat([torch.randn(2, 5, value.shape[2]), value], dim=1)
        for kind, value in inputs.items()
    }
    torch.testing.assert_close(network(**longer), reference)  # rows before the look-back


@pytest.mark.parametrize("make", [patch_with_covariates, fusion, deepar])
def test_quantiles_never_cross(make: Callable[..., nn.Module]) -> None:
    network = make(quantiles=[0.1, 0.5, 0.9]).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    forecast = network(torch.randn(5, L, C) * 100)
    assert forecast.shape == (5, H, C, 3)
    assert (forecast.diff(dim=-1) >= 0).all()


def test_n_hits_interpolates_linearly_between_its_knots() -> None:
    network = NHiTS(
        look_back=L, horizon=H, pool_sizes=[1], knot_spacings=[6], hidden_size=8, norm=ReversibleNorm(mode="last")
    )
    forecast = network(torch.randn(2, L, C))
    torch.testing.assert_close(forecast[:, 4:8].diff(n=2, dim=1), torch.zeros(2, 2, C), atol=1e-5, rtol=0)
    assert (forecast[:, 4] != forecast[:, 7]).all()


def test_an_interpretable_n_beats_is_a_level_a_polynomial_and_a_fourier_series() -> None:
    torch.manual_seed(0)
    network, past = n_beats(degree=2, num_harmonics=1).eval(), torch.randn(2, L, C)
    parts = network.components(past)
    assert parts.shape == (2, H, C, 3)
    torch.testing.assert_close(parts.sum(dim=-1), network(past))
    level, trend, season = parts.unbind(dim=-1)
    torch.testing.assert_close(level, past.mean(dim=1, keepdim=True).expand(-1, H, -1))
    assert trend.diff(n=2, dim=1).abs().min() > 1e-6  # curved, and no more than that
    torch.testing.assert_close(trend.diff(n=3, dim=1), torch.zeros(2, H - 3, C), atol=1e-5, rtol=0)
    angles = 2 * torch.pi * torch.arange(H) / H  # a constant and one cycle over the horizon
    basis = torch.stack([torch.ones(H), angles.cos(), angles.sin()], dim=1)
    flat = season.transpose(0, 1).flatten(1)
    torch.testing.assert_close(basis @ torch.linalg.lstsq(basis, flat).solution, flat, atol=1e-5, rtol=1e-4)
    assert flat.std(dim=0).min() > 1e-6


def test_an_exogenous_stack_of_n_beats_is_a_sum_of_the_known_covariates() -> None:
    torch.manual_seed(0)
    network = n_beats(stacks=["trend", "exogenous"], num_past_covariates=1, num_future_covariates=2).eval()
    past, observed, known = torch.randn(2, L + 3, C), torch.randn(2, L + 3, 1), torch.randn(2, L + 3 + H, 2)
    parts = network.components(past, observed, known)
    torch.testing.assert_close(parts.sum(dim=-1), network(past, observed, known))
    part, coming = parts[..., 2], known[:, -H:]  # (2, H, C), (2, H, 2)
    torch.testing.assert_close(coming @ torch.linalg.lstsq(coming, part).solution, part, atol=1e-5, rtol=1e-4)
    assert part.std(dim=1).min() > 1e-6
    backcast = network.blocks[1].backcast(torch.ones(2, C, 16), known[:, 3:])
    basis = known[:, 3 : L + 3]
    torch.testing.assert_close(
        basis @ torch.linalg.lstsq(basis, backcast.transpose(1, 2)).solution,
        backcast.transpose(1, 2),
        atol=1e-5,
        rtol=1e-4,
    )


def test_tide_connects_a_row_of_the_horizon_directly_with_its_covariates() -> None:
    network = TiDE(look_back=L, horizon=H, num_future_covariates=1, hidden_size=8, norm=ReversibleNorm(mode="std"))
    for part in (network.encoder, network.decoder):  # leaves the temporal decoder alone
        for parameter in part.parameters():
            nn.init.zeros_(parameter)
    past, coming = torch.randn(2, L, C), torch.randn(2, L + H, 1)
    changed = coming.clone()
    changed[:, L + 4] += 3
    difference = (network.eval()(past, None, changed) - network(past, None, coming)).abs().amax(dim=(0, 2))
    assert difference.nonzero().flatten().tolist() == [4]


@pytest.mark.parametrize("make", [fusion, deepar])
def test_a_row_knows_the_covariates_up_to_it_and_no_later_ones(make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    network = make(num_future_covariates=1).eval()
    past, known = torch.randn(2, L, C), torch.randn(2, L + H, 1)
    changed = known.clone()
    changed[:, L + 4 :] += 3
    forecast, other = (network(past, future_covariates=covariates) for covariates in (known, changed))
    difference = (other - forecast).abs().amax(dim=(0, 2))
    assert difference[:4].max() == 0
    assert difference[4:].min() > 0


def test_weights_of_a_fusion_transformer_say_which_variable_and_row_counted() -> None:
    torch.manual_seed(0)
    network = fusion(num_past_covariates=2, num_future_covariates=1, num_static_covariates=3).eval()
    inputs = (torch.randn(2, L, C), torch.randn(2, L, 2), torch.randn(2, L + H, 1), torch.randn(2, C, 3))
    weights = network.variable_weights(*inputs)
    shapes = [(2, C, L, 5), (2, C, H, 2), (2, C, 3), (2, C, H, L + H)]
    assert [tuple(part.shape) for part in weights] == shapes
    for part in weights:
        torch.testing.assert_close(part.sum(dim=-1), torch.ones(part.shape[:-1]))
    later = torch.arange(L + H) > torch.arange(L, L + H).unsqueeze(1)
    assert not weights.rows[..., later].any()
    with torch.no_grad():
        network.past_selection.weighting.gate.norm.bias[2] = -1e4  # never chosen
    assert network.variable_weights(*inputs).past[..., 2].max() == 0


def test_static_and_known_covariates_change_the_forecast_of_deepar() -> None:
    torch.manual_seed(0)
    network = deepar(num_future_covariates=2, num_static_covariates=3).eval()
    past, known, static = torch.randn(2, L, C), torch.randn(2, L + H, 2), torch.randn(2, C, 3)
    forecast = network(past, known, static)
    assert (network(past, known + 1, static) != forecast).any()
    assert (network(past, known, static + 1) != forecast).any()
    longer = torch.cat([torch.randn(2, 5, 2), known], dim=1)
    torch.testing.assert_close(network(torch.cat([torch.randn(2, 5, C), past], dim=1), longer, static), forecast)


def test_deepar_forecasts_the_same_whenever_it_is_built_and_otherwise_with_another_seed() -> None:
    network, same, other = deepar().eval(), deepar().eval(), deepar(seed=1).eval()
    torch.testing.assert_close(network.draws, same.draws, rtol=0, atol=0)
    assert not torch.equal(network.draws, other.draws)
    for copy in (same, other):
        copy.load_state_dict({**network.state_dict(), "draws": copy.draws})
    past = torch.randn(2, L, C)
    torch.testing.assert_close(same(past), network(past), rtol=0, atol=0)
    assert not torch.equal(other(past), network(past))


@pytest.mark.parametrize("degrees_of_freedom", [None, 3.0])
def test_draws_of_deepar_are_quantiles_of_its_distribution(degrees_of_freedom: float | None) -> None:
    draws = deepar(num_paths=1999, degrees_of_freedom=degrees_of_freedom).draws
    quartile = 0.6745 if degrees_of_freedom is None else 0.7649  # upper quartiles, from a table
    torch.testing.assert_close(
        draws.quantile(torch.tensor([0.25, 0.5, 0.75]), dim=1),
        torch.tensor([[-quartile], [0.0], [quartile]]).expand(-1, H),
        atol=2e-3,
        rtol=0,
    )
    assert not torch.equal(draws[0], draws[1])  # a path is not at one level


def test_deepar_learns_the_spread_of_a_random_walk_and_how_it_widens() -> None:
    torch.manual_seed(0)
    network = deepar(
        encoder=GRUEncoder(input_size=4, hidden_size=8),
        look_back=10,
        horizon=4,
        quantiles=[0.1, 0.5, 0.9],
        num_paths=300,
        norm=ReversibleNorm(mode="last"),
    )
    module = AutoregressiveForecaster(
        network=network, loss=PinballLoss(quantiles=[0.1, 0.5, 0.9]), num_channels=1, look_back=10, horizon=4
    ).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(200):
        walk = torch.randn(64, 14, 1).cumsum(dim=1)
        loss = module.step({"past": walk[:, :10], "future": walk[:, 10:]}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        forecast = module.eval()(torch.randn(64, 10, 1).cumsum(dim=1))
    width = (forecast[..., 2] - forecast[..., 0]).mean(dim=(0, 2))
    expected = 2 * 1.2816 * torch.arange(1, 5).sqrt()
    torch.testing.assert_close(width, expected, rtol=0.25, atol=0)


def test_masked_rows_of_the_horizon_do_not_reach_the_likelihood() -> None:
    torch.manual_seed(0)
    module = AutoregressiveForecaster(
        network=deepar(), loss=nn.MSELoss(), num_channels=C, look_back=L, horizon=H
    ).train()
    mask = torch.ones(2, H, C, dtype=torch.bool)
    mask[:, -1] = False  # the last row is read by no other
    batch = {"past": torch.randn(2, L, C), "future": torch.randn(2, H, C), "future_mask": mask}
    changed = {**batch, "future": torch.where(mask, batch["future"], 1e3)}
    torch.testing.assert_close(module.step(changed).loss, module.step(batch).loss)
    assert module.step({**changed, "future_mask": mask | True}).loss > module.step(batch).loss + 1


def n_hits(**changes: object) -> NHiTS:
    return NHiTS(**{"look_back": 5, "horizon": 4, "norm": ReversibleNorm(mode="std"), **changes})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: n_beats(stacks=["exogenous"]), "'exogenous' needs covariates"),
        (lambda: PhaseTransformer(look_back=5, horizon=3, period=7), "look_back: 5 given, at least one period of 7"),
        (lambda: SeasonalNaive(look_back=5, horizon=3, period=7), "look_back: 5 given, at least one period of 7"),
        (
            lambda: PatchTransformer(look_back=5, horizon=3, norm=ReversibleNorm(mode="std")),
            "look_back: 5 given, at least one patch of 16",
        ),
        (
            lambda: CascadedMLP(num_channels=1, look_back=5, horizon=4, norm=ReversibleNorm(mode="std")),
            "horizon: 4 given, it must be a multiple of num_blocks 3",
        ),
        (lambda: patch_with_covariates(quantiles=[0.1, 0.9]), "an odd number with 0.5 in the middle is needed"),
        (
            lambda: ITransformer(look_back=5, horizon=4, hidden_size=9, norm=ReversibleNorm(mode="std")),
            "hidden_size: 9 given, a multiple of num_heads 8",
        ),
        (lambda: fusion(hidden_size=9), "hidden_size: 9 given, a multiple of num_heads 2"),
        (lambda: fusion(quantiles=[0.1, 0.9]), "an odd number with 0.5 in the middle is needed"),
        (lambda: deepar(lags=[0]), r"lags: \[0\] given, allowed are 1 to less than look_back 48"),
        (lambda: deepar(lags=[48]), r"lags: \[48\] given"),
        (lambda: deepar(num_paths=1), "num_paths: 1 given, at least 2"),
        (lambda: deepar(degrees_of_freedom=2.0), "degrees_of_freedom: 2.0 given, more than 2"),
        (
            lambda: AutoregressiveForecaster(
                network=fusion(), loss=nn.MSELoss(), num_channels=C, look_back=L, horizon=H
            ),
            "model.network: TemporalFusionTransformer given, AutoregressiveForecaster trains a DeepAR",
        ),
        (lambda: n_hits(pool_sizes=[2, 1]), r"\[2, 1\] and \[4, 2, 1\] given, one number per stack"),
        (lambda: n_hits(pool_sizes=[6, 1, 1]), r"pool_sizes: \[6, 1, 1\] given, allowed are 1 to look_back 5"),
        (lambda: n_hits(knot_spacings=[9, 1, 0]), "knot_spacings: .* given, allowed are 1 to horizon 4"),
        (lambda: n_hits(num_blocks=0), "num_blocks: 0 given, at least 1"),
        (lambda: n_beats(stacks=["trend", "seasons"]), "stacks: .* given, allowed are 'generic', 'trend',"),
        (lambda: n_beats(stacks=[]), "stacks: .* given, allowed are"),
        (lambda: n_beats(num_blocks=0), "num_blocks: 0 given, at least 1"),
        (lambda: n_beats(num_harmonics=7), "num_harmonics: 7 given, allowed are 1 to half the horizon, 6"),
        (
            lambda: TiDE(look_back=5, horizon=4, num_encoder_layers=0, norm=ReversibleNorm(mode="std")),
            "num_encoder_layers: 0 given, at least 1",
        ),
        (lambda: FixedLinear(look_back=5, horizon=4, norm=ReversibleNorm(mode="std")), "mode 'std' given"),
        (lambda: ReversibleNorm(mode="max"), "mode: 'max' given"),
    ],
)
def test_impossible_sizes_say_what_is_needed(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
