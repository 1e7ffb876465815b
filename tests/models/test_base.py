from functools import partial

import pytest
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from models import Forecaster, OneCycle, RepeatLast, ReversibleNorm, StagedDecay, WarmupCosine, WindowLinear
from models.base import make_scheduler


def optimizer(lr: float = 0.1) -> AdamW:
    return AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(scheduler: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("schedule", [OneCycle, WarmupCosine])
def test_a_warmup_is_a_share_of_the_steps(schedule: type[OneCycle]) -> None:
    with pytest.raises(ValueError, match=r"model.scheduler.warmup: 500 given, a share of the steps from 0 to 1"):
        schedule(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), total_steps=1000, warmup=500)


@pytest.mark.parametrize("factory", [OneCycle, WarmupCosine, partial(OneCycleLR, max_lr=0.1)])
def test_a_scheduler_that_wants_the_number_of_steps_gets_it(factory) -> None:
    found = rates(make_scheduler(factory, optimizer(), lambda: 50), 50)
    assert max(found) == pytest.approx(0.1, rel=1e-3)
    assert found[-1] < 0.001


@pytest.mark.parametrize("factory", [partial(OneCycle, total_steps=10), partial(StepLR, step_size=5)])
def test_a_scheduler_that_does_not_ask_is_left_alone(factory) -> None:
    def never() -> int:
        raise AssertionError

    assert make_scheduler(factory, optimizer(), never).base_lrs == [0.1]


def test_one_cycle_follows_torch_with_the_peak_taken_from_the_optimizer() -> None:
    ours = rates(OneCycle(optimizer(), total_steps=40, warmup=0.25), 40)
    theirs = rates(OneCycleLR(optimizer(), max_lr=0.1, total_steps=40, pct_start=0.25, cycle_momentum=False), 40)
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-9)


def test_warmup_cosine_without_warmup_follows_torch() -> None:
    ours = rates(WarmupCosine(optimizer(), total_steps=30, warmup=1 / 30), 30)[1:]
    assert ours == pytest.approx(rates(CosineAnnealingLR(optimizer(), T_max=29), 29), rel=1e-5, abs=1e-8)


def test_thirteen_epochs_are_held_for_four_and_halved_before_each_other() -> None:
    found = rates(StagedDecay(optimizer(1.0), total_steps=13 * 7), 13 * 7)
    epochs = [found[7 * epoch : 7 * (epoch + 1)] for epoch in range(13)]
    assert epochs == [[0.5 ** max(0, epoch - 3)] * 7 for epoch in range(13)]


def test_a_short_fit_goes_through_all_stages() -> None:
    found = rates(StagedDecay(optimizer(1.0), total_steps=26), 26)
    assert found[:8] == [1.0] * 8
    assert found[-1] == 0.5**9
    assert rates(StagedDecay(optimizer(1.0), total_steps=1), 3) == [1.0, 0.5**9, 0.5**9]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"held": 14}, r"model.scheduler.held: 14 given, 1 to 13 \(model.scheduler.stages\)"),
        ({"stages": 0}, r"model.scheduler.held: 4 given, 1 to 0"),
        ({"factor": 2.0}, r"model.scheduler.factor: 2.0 given, more than 0 and at most 1"),
        ({"total_steps": None}, "total_steps: None given"),
    ],
)
def test_stages_that_cannot_be_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StagedDecay(optimizer(), **{"total_steps": 100, **arguments})


def test_a_model_with_weights_and_no_optimizer_says_so() -> None:
    network = WindowLinear(look_back=4, horizon=2, norm=ReversibleNorm(mode="mean"))
    module = Forecaster(network=network, loss=torch.nn.MSELoss(), num_channels=1, look_back=4, horizon=2)
    with pytest.raises(ValueError, match="model.optimizer: Forecaster has 10 parameters"):
        module.configure_optimizers()


def test_a_model_without_weights_needs_no_optimizer() -> None:
    module = Forecaster(network=RepeatLast(horizon=2), loss=torch.nn.MSELoss(), num_channels=1, look_back=4, horizon=2)
    assert module.configure_optimizers() is None


def test_hyperparameters_of_a_notebook_are_plain_data() -> None:
    module = Forecaster(network=RepeatLast(horizon=2), loss=torch.nn.MSELoss(), num_channels=1, look_back=4, horizon=2)
    assert dict(module.hparams) == {
        "num_channels": 1,
        "look_back": 4,
        "horizon": 2,
        "num_past_covariates": 0,
        "num_future_covariates": 0,
        "num_static_covariates": 0,
    }
