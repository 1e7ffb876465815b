"""The error of a gain: overlapping trajectories count as few, and a gain within the error keeps no weights."""

from types import SimpleNamespace

import pytest
import torch

from callbacks.checkpoints import BestCheckpoint
from models.recurrent.paired_gain import PairedGainError


def error_of(days: torch.Tensor, gains: torch.Tensor, *, block_size: int) -> float:
    metric = PairedGainError(block_size=block_size)
    for part in torch.arange(len(days)).split(7):  # in batches, of two series in turn
        metric.update(days[part], gains[part])
    return float(metric.compute())


def test_origins_of_a_block_count_as_one_observation() -> None:
    generator = torch.Generator().manual_seed(0)
    days = torch.arange(200)
    alone = torch.randn(200, generator=generator)
    assert error_of(days, alone, block_size=1) == pytest.approx(float(alone.std() / 200**0.5), rel=1e-5)
    of_blocks = torch.randn(20, generator=generator)
    repeated = of_blocks.repeat_interleave(10)  # ten origins of a block say the same
    assert error_of(days, repeated, block_size=10) == pytest.approx(float(of_blocks.std() / 20**0.5), rel=1e-5)
    twice = torch.cat([days, days]), torch.cat([repeated, repeated])  # a second series that moves with the first
    assert error_of(*twice, block_size=10) == pytest.approx(float(of_blocks.std() / 20**0.5), rel=1e-5)
    assert error_of(days[:10], alone[:10], block_size=10) == float("inf")  # one block shows no spread
    assert PairedGainError(block_size=10).compute() == float("inf")


@pytest.mark.parametrize(("error", "kept"), [(0.03, True), (0.06, False), (None, True)])
def test_a_gain_within_two_standard_errors_leaves_the_untrained_model_the_best(error: float | None, kept: bool) -> None:
    callback = BestCheckpoint(monitor="val/loss", untrained_margin=0.01)
    callback._untrained = 1.0
    callback.best_k_models, callback.best_model_score = {"best.ckpt": torch.tensor(1.0)}, torch.tensor(1.0)
    callback.kth_best_model_path = "best.ckpt"
    metrics = {} if error is None else {"val/loss_gain_error": torch.tensor(error)}
    strategy = SimpleNamespace(reduce_boolean_decision=bool)
    trainer = SimpleNamespace(callback_metrics=metrics, strategy=strategy)
    assert callback.check_monitor_top_k(trainer, torch.tensor(0.9)) is kept  # type: ignore[arg-type]
