"""Ridge regression and ensembles: what is chosen in closed form equals what a direct computation chooses."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.__main__ import main
from lightning_app.cli import run
from models import RidgeForecaster
from models.baselines.ridge import FixedLinear, GramMatrices
from models.forecasting.ensemble import best_subset
from models.layers import ReversibleNorm
from tests.conftest import only_run, run_folders

RIDGE = """
model:
  class_path: RidgeForecaster
  init_args:
    network:
      class_path: models.baselines.ridge.FixedLinear
      init_args: {norm: {class_path: ReversibleNorm, init_args: {mode: mean}}}
    loss: torch.nn.MSELoss
    penalties: [0.1, 10, 1000]
    ranks: [2, 6]
trainer: {max_epochs: 1, limit_train_batches: null}
"""


def moments(x: torch.Tensor, y: torch.Tensor) -> GramMatrices:
    gram = GramMatrices.zeros(x.shape[1], y.shape[1], torch.device("cpu"))
    for rows in torch.arange(len(x)).split(17):
        gram.add(x[rows], y[rows])
    return gram


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_error_of_a_candidate_follows_from_the_gram_matrices(seed: int) -> None:
    torch.manual_seed(seed)
    x, y, weight = torch.randn(60, 7), torch.randn(60, 4), torch.randn(7, 4, dtype=torch.float64)
    direct = float((x.double() @ weight - y.double()).square().mean())
    assert moments(x, y).mean_squared_error(weight) == pytest.approx(direct, rel=1e-5)


def test_ridge_at_full_rank_solves_the_normal_equations() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(200, 6), torch.randn(200, 3)
    module = RidgeForecaster(
        network=FixedLinear(look_back=6, horizon=3, norm=ReversibleNorm(mode="mean")),
        loss=torch.nn.MSELoss(),
        num_channels=1,
        look_back=6,
        horizon=3,
        penalties=[2.0],
        ranks=[],
    )
    weight, chosen = module.solve(moments(x, y), moments(x, y))
    expected = np.linalg.solve((x.T @ x).double().numpy() + 2 * np.eye(6), (x.T @ y).double().numpy())
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert chosen == {"penalty": 2.0, "rank": 3.0}


def test_ridge_fits_in_one_pass_and_its_checkpoint_tests_alone(fit_args, tmp_path: Path) -> None:
    (tmp_path / "ridge.yaml").write_text(RIDGE)
    cli = run(fit_args("-c", str(tmp_path / "ridge.yaml")))
    logged = float(cli.trainer.callback_metrics["val/mse"])
    checkpoint = only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt"
    again = run(["validate", "--ckpt_path", str(checkpoint)])
    assert float(again.trainer.callback_metrics["val/mse"]) == pytest.approx(logged, rel=1e-5)
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), members=st.integers(1, 4))
def test_the_best_subset_is_that_of_a_direct_search(seed: int, members: int) -> None:
    errors = torch.from_numpy(np.random.default_rng(seed).standard_normal((members, 30)) + 0.5)
    subset, mse = best_subset(errors @ errors.T / 30)
    direct = {
        chosen: float(errors[list(chosen)].mean(0).square().mean())
        for count in range(1, members + 1)
        for chosen in combinations(range(members), count)
    }
    assert mse == pytest.approx(min(direct.values()))
    assert direct[subset] == pytest.approx(mse)


def test_an_ensemble_is_the_mean_of_its_members(fit_args, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        assert main(fit_args("--seed_everything", seed, "--trainer.max_epochs", "1")) == 0
    members = [str(folder / "checkpoints/best.ckpt") for folder in run_folders(tmp_path / "runs")]
    (tmp_path / "ensemble.yaml").write_text(
        f"model: {{class_path: EnsembleForecaster, init_args: {{members: {members}, loss: torch.nn.MSELoss}}}}\n"
        "trainer: {max_epochs: 1, limit_train_batches: 1}\n"
    )
    cli = run(fit_args("-c", str(tmp_path / "ensemble.yaml")))
    module = cli.model.eval()
    past = torch.randn(3, 48, 2)
    chosen = module.network.chosen.tolist()
    forecasts = [forecast for forecast, taken in zip(module.network.forecasts(past), chosen, strict=True) if taken]
    torch.testing.assert_close(module(past), torch.stack(forecasts).mean(0))
    logged = float(cli.trainer.callback_metrics["val/mse"])
    checkpoint = Path(cli.folder.checkpoints) / "best.ckpt"
    again = run(["validate", "--ckpt_path", str(checkpoint)])
    assert float(again.trainer.callback_metrics["val/mse"]) == pytest.approx(logged, rel=1e-5)


def test_an_ensemble_refuses_members_with_covariates(fit_args, tmp_path: Path, capsys) -> None:
    patch = ("--model.network=PatchTransformer", "--model.network.num_layers=1", "--model.network.norm=ReversibleNorm",
             "--model.network.norm.mode=std", "--data.calendar=[hour]")  # fmt: skip
    assert main(fit_args(*patch)) == 0
    member = only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt"
    (tmp_path / "ensemble.yaml").write_text(
        f"model: {{class_path: EnsembleForecaster, init_args: {{members: ['{member}'], loss: torch.nn.MSELoss}}}}\n"
    )
    assert main(fit_args("-c", str(tmp_path / "ensemble.yaml"))) == 2
    assert "takes covariates or gives quantiles" in capsys.readouterr().err


def test_an_ensemble_names_a_member_that_is_missing(fit_args, tmp_path: Path, capsys) -> None:
    (tmp_path / "ensemble.yaml").write_text(
        "model: {class_path: EnsembleForecaster, init_args: {members: [gone.ckpt], loss: torch.nn.MSELoss}}\n"
    )
    assert main(fit_args("-c", str(tmp_path / "ensemble.yaml"))) == 2
    assert "model.members: the checkpoint gone.ckpt does not exist" in capsys.readouterr().err
