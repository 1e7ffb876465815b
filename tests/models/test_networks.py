"""Properties of every forecasting network, through `forward`."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from models import (
    CascadedMLP,
    Forecaster,
    PatchTransformer,
    PhaseTransformer,
    RepeatLast,
    ReversibleNorm,
    SeasonalNaive,
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
    "ridge": lambda: FixedLinear(look_back=L, horizon=H, norm=ReversibleNorm(mode="mean")),
    "cascade": lambda: CascadedMLP(
        num_channels=C, look_back=L, horizon=H, hidden_size=16, norm=ReversibleNorm(mode="std")
    ),
    "repeat-last": lambda: RepeatLast(horizon=H),
    "seasonal": lambda: SeasonalNaive(look_back=L, horizon=H, period=5),
}
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


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "cascade"])
def test_channels_are_forecast_one_by_one_with_shared_weights(name: str) -> None:
    network, past = build(name), torch.randn(2, L, C)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(network(past[..., order]), network(past)[..., order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in NETWORKS if list(NETWORKS[name]().parameters())])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = build(name).train()
    outputs = network.cascade(torch.randn(4, L, C)) if name == "cascade" else [network(torch.randn(4, L, C))]
    sum(output.square().mean() for output in outputs).backward()
    without = [
        key for key, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not without


@every_network
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


def test_patch_transformer_uses_each_kind_of_covariate() -> None:
    network = patch_with_covariates(num_past_covariates=2, num_future_covariates=1, num_static_covariates=3)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    inputs = {
        "past": torch.randn(2, L, C),
        "past_covariates": torch.randn(2, L, 2),
        "future_covariates": torch.randn(2, L + H, 1),
        "static_covariates": torch.randn(2, C, 3),
    }
    reference = network(**inputs)
    for name in ("past_covariates", "future_covariates", "static_covariates"):
        changed = network(**{**inputs, name: inputs[name] + torch.randn_like(inputs[name])})
        assert not torch.allclose(changed, reference), name
    beyond = inputs["future_covariates"].clone()
    beyond[:, L:] += 1
    assert not torch.allclose(network(**{**inputs, "future_covariates": beyond}), reference)


def test_quantiles_never_cross() -> None:
    network = patch_with_covariates(quantiles=[0.1, 0.5, 0.9])
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    forecast = network(torch.randn(5, L, C) * 100)
    assert forecast.shape == (5, H, C, 3)
    assert (forecast.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
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
        (lambda: FixedLinear(look_back=5, horizon=4, norm=ReversibleNorm(mode="std")), "mode 'std' given"),
        (lambda: ReversibleNorm(mode="max"), "mode: 'max' given"),
    ],
)
def test_impossible_sizes_say_what_is_needed(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
