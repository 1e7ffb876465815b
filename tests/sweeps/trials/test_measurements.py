from collections.abc import Callable

import pytest
from lightning.pytorch import Trainer

from lightning_app.cli import run
from sweeps.trials.measurements import Measurements


def measured(args: list[str], *options: str) -> tuple[Trainer, dict[str, float]]:
    command = run([*args, "--trainer.callbacks+=sweeps.trials.measurements.Measurements", *options])
    (callback,) = (found for found in command.trainer.callbacks if isinstance(found, Measurements))
    return command.trainer, callback.found()


def test_a_fit_with_as_many_parameters_as_allowed_is_measured_on_the_way(fit_args: Callable[..., list[str]]) -> None:
    trainer, found = measured(fit_args(), "--trainer.callbacks.max_parameters=1452")
    assert trainer.global_step > 0
    assert found["parameters"] == sum(weight.numel() for weight in trainer.lightning_module.parameters())
    assert 0 < found["latency"] < 10_000
    assert 0 <= found["memory"] < 2000


@pytest.mark.parametrize("least", [(), ("--trainer.min_epochs=2", "--trainer.min_steps=3")])
def test_too_many_parameters_stop_a_fit_before_its_first_step(
    least: tuple[str, ...], fit_args: Callable[..., list[str]]
) -> None:
    trainer, found = measured(fit_args(), "--trainer.callbacks.max_parameters=10", *least)
    assert trainer.global_step == 0
    assert "latency" not in found
    assert found["parameters"] > 10
