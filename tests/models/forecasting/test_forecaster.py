from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lightning_app.__main__ import main
from lightning_app.cli import run
from models import Forecaster, PatchTransformer, PinballLoss, ReversibleNorm, WindowLinear
from tests.conftest import only_run, waves

L, H, C = 24, 6, 2


def forecaster(loss: nn.Module | None = None) -> Forecaster:
    torch.manual_seed(0)
    network = WindowLinear(look_back=L, horizon=H, norm=ReversibleNorm(mode="mean"))
    module = Forecaster(network=network, loss=loss or nn.L1Loss(), num_channels=C, look_back=L, horizon=H).eval()
    module.target_scale.set_statistics((torch.tensor([5.0, -3.0]), torch.tensor([2.0, 10.0])))
    return module


def batch(size: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "past": torch.randn(size, L, C, generator=generator),
        "future": torch.randn(size, H, C, generator=generator),
        "future_mask": torch.rand(size, H, C, generator=generator) > 0.4,
    }


@settings(max_examples=20, deadline=None)
@given(noise=st.floats(-1e6, 1e6))
def test_masked_values_reach_neither_loss_nor_metrics(noise: float) -> None:
    module, windows = forecaster(), batch()
    changed = {**windows, "future": torch.where(windows["future_mask"], windows["future"], torch.tensor(noise))}
    before, after = module.step(windows), module.step(changed)
    assert torch.equal(before.loss, after.loss)
    assert torch.equal(before.targets, after.targets)
    assert before.weight == int(windows["future_mask"].sum())


def test_a_batch_without_any_observed_value_has_a_zero_loss_with_a_gradient() -> None:
    module, windows = forecaster().train(), batch()
    windows["future_mask"] = torch.zeros_like(windows["future_mask"])
    loss = module.step(windows).loss
    loss.backward()
    assert loss == 0


def test_a_wholly_observed_mask_changes_nothing() -> None:
    module, windows = forecaster(), batch()
    whole = {**windows, "future_mask": torch.ones_like(windows["future_mask"])}
    del windows["future_mask"]
    torch.testing.assert_close(module.step(whole).loss, module.step(windows).loss)


def test_units_of_a_channel_do_not_change_its_forecast() -> None:
    module, past = forecaster(), batch()["past"]
    other = forecaster()
    other.load_state_dict(module.state_dict())
    other.target_scale.set_statistics((module.target_scale.mean * 1000, module.target_scale.std * 1000))
    torch.testing.assert_close(other(past * 1000), module(past) * 1000, rtol=1e-3, atol=1e-2)


def test_a_network_that_takes_no_covariates_refuses_them_by_name() -> None:
    with pytest.raises(ValueError, match="WindowLinear takes no static_covariates"):
        Forecaster(
            network=WindowLinear(look_back=L, horizon=H, norm=ReversibleNorm(mode="mean")),
            loss=nn.L1Loss(), num_channels=C, look_back=L, horizon=H, num_static_covariates=1,
        )  # fmt: skip


def test_quantile_forecasts_are_judged_by_the_middle_one() -> None:
    network = PatchTransformer(
        look_back=L, horizon=H, quantiles=[0.1, 0.5, 0.9], patch_size=8, stride=8, num_layers=1,
        norm=ReversibleNorm(mode="std"),
    )  # fmt: skip
    module = Forecaster(
        network=network, loss=PinballLoss(quantiles=[0.1, 0.5, 0.9]), num_channels=C, look_back=L, horizon=H
    ).eval()
    windows = batch()
    del windows["future_mask"]
    forecast = module(windows["past"])
    assert forecast.shape == (4, H, C, 3)
    torch.testing.assert_close(module.step(windows).predictions, module.target_scale(forecast[..., 1]).flatten())


class OwnQuantiles(nn.Module):
    """Three quantiles per step, of which nothing but the loss knows the levels."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor([-1.0, 0.0, 1.0]))

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        return past[:, -1:].unsqueeze(-1) + self.offset.expand(len(past), H, C, 3)


class Own(nn.Module):
    """Gives a tensor of any shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        return self.weight + past.mean() * 0


class Confused(nn.Module):
    def forward(self, past: torch.Tensor) -> torch.Tensor:
        return past @ torch.ones(7, 7)


def own(network: nn.Module, loss: nn.Module | None = None) -> Forecaster:
    return Forecaster(network=network, loss=loss or nn.L1Loss(), num_channels=C, look_back=L, horizon=H).eval()


def patches(quantiles: list[float] | None) -> PatchTransformer:
    norm = ReversibleNorm(mode="std")
    return PatchTransformer(look_back=L, horizon=H, quantiles=quantiles, patch_size=8, stride=8, norm=norm)


def test_levels_of_an_own_network_are_those_of_the_loss() -> None:
    module = own(OwnQuantiles(), PinballLoss(quantiles=[0.2, 0.5, 0.8]))
    assert module.quantiles == (0.2, 0.5, 0.8)
    windows = {"past": batch()["past"], "future": batch()["future"]}
    torch.testing.assert_close(module.step(windows).predictions, module(windows["past"])[..., 1].flatten())


@pytest.mark.parametrize(
    ("network", "loss", "message"),
    [
        (
            patches([0.1, 0.5, 0.9]),
            PinballLoss(quantiles=[0.3, 0.5, 0.7]),
            r"PinballLoss has \[0.3, 0.5, 0.7\], but PatchTransformer forecasts \[0.1, 0.5, 0.9\]",
        ),
        (patches(None), PinballLoss(quantiles=[0.1, 0.5, 0.9]), "PatchTransformer forecasts none, but PinballLoss has"),
        (patches([0.1, 0.5, 0.9]), nn.MSELoss(), "MSELoss compares one value per step, but PatchTransformer forecasts"),
        (OwnQuantiles(), PinballLoss(quantiles=[0.1, 0.9]), "0.5 is needed too: it is the point forecast"),
        (nn.Linear(L, H), nn.L1Loss(), r"Linear.forward takes \(input\), expected is an argument `past`"),
    ],
)
def test_a_network_and_a_loss_that_do_not_fit_are_refused(network: nn.Module, loss: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own(network, loss)


@pytest.mark.parametrize(
    ("network", "loss", "message"),
    [
        (
            Own(4, 1, C),
            None,
            r"model.network: Own gives \(4, 1, 2\), expected is a tensor \(any, 6, 2\) = \(batch, horizon",
        ),
        (Own(1, H, C), None, r"Own gives \(1, 6, 2\), expected is a tensor \(4, 6, 2\)"),
        (OwnQuantiles(), None, "OwnQuantiles gives .* quantiles in the last dimension, but no levels"),
        (
            OwnQuantiles(),
            PinballLoss(quantiles=[0.1, 0.3, 0.5, 0.9]),
            r"gives \(4, 6, 2, 3\), expected .* \(any, 6, 2, 4\)",
        ),
        (Own(4, H, C), PinballLoss(quantiles=[0.1, 0.5]), r"Own gives \(4, 6, 2\), expected .* quantiles 0.1, 0.5\)"),
        (
            Confused(),
            None,
            r"Confused fails on past \(4, 24, 2\): .*; expected of it is \(batch, horizon, num_channels\)",
        ),
    ],
)
def test_a_forecast_of_another_shape_names_the_network(
    network: nn.Module, loss: nn.Module | None, message: str
) -> None:
    module = own(network, loss)
    windows = {"past": batch()["past"], "future": batch()["future"]}
    with pytest.raises(ValueError, match=message):
        module.step(windows)


def test_every_kind_of_covariate_and_a_mask_work_from_a_table_to_a_prediction(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    frame = waves(420).with_columns(
        pl.Series("wind", np.random.default_rng(2).standard_normal(420)),
        pl.int_range(420).cast(pl.Float64).alias("price"),
    )
    index = pl.int_range(420)
    frame = frame.with_columns(
        pl.when((index < 400) & (index % 37 != 5)).then(pl.col("c0")).alias("c0"),
        pl.when(index < 400).then(pl.col("c1")).alias("c1"),
    )
    frame.write_parquet(tmp_path / "rich.parquet")
    quantiles = [0.1, 0.5, 0.9]
    config = {
        "model": {
            "class_path": "Forecaster",
            "init_args": {
                "network": {
                    "class_path": "PatchTransformer",
                    "init_args": {
                        "quantiles": quantiles, "patch_size": 8, "num_layers": 1,
                        "norm": {"class_path": "ReversibleNorm", "init_args": {"mode": "std"}},
                    },
                },
                "loss": {"class_path": "PinballLoss", "init_args": {"quantiles": quantiles}},
            },
        },
        "data": {
            "init_args": {
                "missing": "mask",
                "calendar": ["hour"],
                "series": {
                    "class_path": "TableFile",
                    "init_args": {
                        "path": str(tmp_path / "rich.parquet"), "time_column": "time", "frequency": "1h",
                        "channels": ["c0", "c1"], "past_covariates": ["wind"], "future_covariates": ["price"],
                        "static_covariates": {"c0": [1.0], "c1": [2.0]},
                    },
                },
            }
        },
    }  # fmt: skip
    (tmp_path / "rich.yaml").write_text(yaml.safe_dump(config))
    cli = run(fit_args("-c", str(tmp_path / "rich.yaml")))
    assert set(cli.model.example_inputs()) == {"past", "past_covariates", "future_covariates", "static_covariates"}
    assert cli.model(**cli.model.example_inputs()).shape == (2, 12, 2, 3)
    checkpoint = str(only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", checkpoint]) == 0
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    table = pl.read_parquet(only_run(tmp_path / "runs") / "predictions.parquet")
    assert table.columns == ["time", "channel", "q0.1", "q0.5", "q0.9"]
    assert (table["q0.9"] >= table["q0.1"]).all()
    assert str(table["time"].min()) == "2024-01-17 16:00:00"
