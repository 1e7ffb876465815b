"""Ridge regression and ensembles: what they forecast equals a direct computation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.__main__ import main
from lightning_app.cli import run
from models import RidgeForecaster
from models.baselines.gram_matrices import GramMatrices, solve_ridge
from models.baselines.ridge import FixedLinear
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
    """Moments of x (C, N, L) and y (C, N, H), added in blocks."""
    gram = GramMatrices.zeros(channels=len(x), look_back=x.shape[2], horizon=y.shape[2], device=torch.device("cpu"))
    for rows in torch.arange(x.shape[1]).split(17):
        gram.add(x[:, rows], y[:, rows])
    return gram


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), channels=st.integers(1, 3))
def test_the_error_of_a_candidate_follows_from_the_gram_matrices(seed: int, channels: int) -> None:
    torch.manual_seed(seed)
    x, y = torch.randn(channels, 60, 7), torch.randn(channels, 60, 4)
    for weight in (torch.randn(7, 4, dtype=torch.float64), torch.randn(channels, 7, 4, dtype=torch.float64)):
        direct = float((x.double() @ weight - y.double()).square().mean())
        assert moments(x, y).mean_squared_error(weight) == pytest.approx(direct, rel=1e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_penalty_and_then_rank_are_those_of_a_direct_search(seed: int) -> None:
    torch.manual_seed(seed)
    x, y, val_x, val_y = (torch.randn(1, 40, size) for size in (6, 4, 6, 4))
    y, val_y = y + x[..., :4], val_y + val_x[..., :4]
    solution = solve_ridge(moments(x, y), moments(val_x, val_y), penalties=(0.5, 5.0, 50.0), ranks=(1, 3))
    errors = {}
    rows, values = x[0].double(), y[0].double()
    for penalty in {0.5, 5.0, 50.0, solution.penalty}:
        full = torch.linalg.solve(rows.T @ rows + penalty * torch.eye(6), rows.T @ values)
        directions = torch.linalg.svd(rows @ full, full_matrices=False).Vh.T
        for rank in (1, 3, 4):
            weight = full @ directions[:, :rank] @ directions[:, :rank].T
            errors[penalty, rank] = float((val_x[0].double() @ weight - val_y[0].double()).square().mean())
    assert errors[solution.penalty, 4] == pytest.approx(min(error for (_, rank), error in errors.items() if rank == 4))
    best = min(error for (penalty, _), error in errors.items() if penalty == solution.penalty)
    assert errors[solution.penalty, solution.rank] == pytest.approx(best, rel=1e-5)
    assert moments(val_x, val_y).mean_squared_error(solution.weight) == pytest.approx(best, rel=1e-4)


def test_a_grid_whose_end_is_the_best_is_widened() -> None:
    torch.manual_seed(0)
    x, noise = torch.randn(1, 30, 20), torch.randn(1, 30, 2)
    val_x, val_noise = torch.randn(1, 500, 20), torch.randn(1, 500, 2)
    chosen = solve_ridge(moments(x, noise), moments(val_x, val_noise), penalties=(0.1, 1.0), ranks=())
    assert chosen.penalty > 10  # nothing can be learned: the more penalty the better
    assert solve_ridge(moments(x, noise), moments(val_x, val_noise), penalties=(0.1,), ranks=()).penalty == 0.1


def ridge(**options: Any) -> RidgeForecaster:
    network = FixedLinear(look_back=6, horizon=3, norm=ReversibleNorm(mode="mean"))
    return RidgeForecaster(network=network, loss=torch.nn.MSELoss(), look_back=6, horizon=3, **options)


def test_ridge_at_full_rank_solves_the_normal_equations() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(1, 200, 6), torch.randn(1, 200, 3)
    module = ridge(num_channels=1, penalties=[2.0], ranks=[])
    weight = module.solve(moments(x, y), [moments(x, y)])
    expected = np.linalg.solve((x[0].T @ x[0]).double().numpy() + 2 * np.eye(6), (x[0].T @ y[0]).double().numpy())
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert module.chosen == {"penalty": 2.0, "rank": 3.0, "regressions": 1.0}


@pytest.mark.parametrize("alike", [True, False])
def test_channels_that_behave_alike_share_a_regression_and_others_do_not(alike: bool) -> None:
    torch.manual_seed(1)
    x, val_x = torch.randn(2, 40, 6), torch.randn(2, 400, 6)
    truth = torch.randn(6, 3)
    weights = torch.stack([truth, truth if alike else -truth])
    y, val_y = x @ weights + torch.randn(2, 40, 3), val_x @ weights + torch.randn(2, 400, 3)
    module = ridge(num_channels=2)
    weight = module.solve(moments(x, y), [moments(val_x, val_y)])
    assert weight.shape == ((6, 3) if alike else (2, 6, 3))
    assert module.chosen["regressions"] == (1 if alike else 2)
    assert len(ridge(num_channels=2, per_channel=True).solve(moments(x, y), [moments(val_x, val_y)])) == 2


@pytest.mark.parametrize("per_channel", ["true", "false"])
def test_ridge_fits_in_one_pass_and_its_checkpoint_tests_alone(fit_args, tmp_path: Path, per_channel: str) -> None:
    (tmp_path / "ridge.yaml").write_text(RIDGE)
    cli = run(fit_args("-c", str(tmp_path / "ridge.yaml"), f"--model.per_channel={per_channel}"))
    assert cli.model.network.weight.ndim == (3 if per_channel == "true" else 2)
    logged = float(cli.trainer.callback_metrics["val/mse"])
    checkpoint = only_run(tmp_path / "runs") / "checkpoints" / "best.ckpt"
    again = run(["validate", "--ckpt_path", str(checkpoint)])
    assert float(again.trainer.callback_metrics["val/mse"]) == pytest.approx(logged, rel=1e-5)
    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0


def test_an_ensemble_is_the_weighted_mean_of_its_members_and_says_which(fit_args, tmp_path: Path, capsys) -> None:
    for seed in ("1", "2"):
        assert main(fit_args("--seed_everything", seed, "--trainer.max_epochs", "1")) == 0
    members = [str(folder / "checkpoints/best.ckpt") for folder in run_folders(tmp_path / "runs")]
    (tmp_path / "ensemble.yaml").write_text(
        f"model: {{class_path: EnsembleForecaster, init_args: {{members: {members}, loss: torch.nn.MSELoss}}}}\n"
        "trainer: {max_epochs: 1, limit_train_batches: 1}\n"
    )
    cli = run(fit_args("-c", str(tmp_path / "ensemble.yaml")))
    module = cli.model.eval()
    assert f"ensemble: {int(module.network.chosen.sum())} of 2 members, MSE" in capsys.readouterr().out
    past = torch.randn(3, 48, 2)
    weights = module.network.weights
    forecasts = torch.stack(module.network.forecasts({"past": past}))
    torch.testing.assert_close(module(past), torch.einsum("m,mbhc->bhc", weights, forecasts))
    logged = float(cli.trainer.callback_metrics["val/mse"])
    checkpoint = Path(cli.folder.checkpoints) / "best.ckpt"
    again = run(["validate", "--ckpt_path", str(checkpoint)])
    assert float(again.trainer.callback_metrics["val/mse"]) == pytest.approx(logged, rel=1e-5)
    assert again.model.network.weights.tolist() == weights.tolist()


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
