from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import Precision

from callbacks import FasterPrecision, faster_precision
from lightning_app.__main__ import main
from tests.conftest import load_weights, run_folders

pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no LSTM in half precision")
HALF = ("--trainer.precision", "bf16-mixed")
FASTER = (*HALF, "--trainer.callbacks+=FasterPrecision")
Args = Callable[..., list[str]]


@pytest.fixture
def gain(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The gain that is found, in place of that of the machine; each precision is asked for as it would be."""
    found = [1.0]
    measure = faster_precision._cpu_seconds

    def measured(module: Any, batch: Any, plugin: Precision) -> float:
        assert measure(module, batch, plugin) > 0
        return found[0] if type(plugin) is Precision else 1.0

    monkeypatch.setattr(faster_precision, "_cpu_seconds", measured)
    return found


def weights(run: Path) -> list[torch.Tensor]:
    return list(load_weights(run / "checkpoints/last.ckpt").values())


@pytest.mark.parametrize(("speed", "chosen"), [(1.05, "32-true"), (1.3, "bf16-mixed")])
def test_a_fit_is_that_of_the_faster_precision(
    speed: float, chosen: str, gain: list[float], stream_args: Args, capsys: pytest.CaptureFixture[str]
) -> None:
    gain[0] = speed
    assert main(stream_args(*FASTER)) == 0
    assert f"precision: {chosen}, as bf16-mixed is {speed:.2f}x as fast as 32-true here" in capsys.readouterr().out
    assert main(stream_args("--trainer.precision", chosen)) == 0
    measured, plain = (weights(run) for run in run_folders(Path("runs")))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(measured, plain, strict=True))


def test_a_resumed_fit_keeps_the_precision_that_it_began_with(
    gain: list[float], stream_args: Args, capsys: pytest.CaptureFixture[str]
) -> None:
    constant = ("--model.scheduler=null",)
    assert main(stream_args(*FASTER, *constant, "--trainer.max_epochs", "1")) == 0
    gain[0] = 9.0
    (begun,) = run_folders(Path("runs"))
    capsys.readouterr()
    assert main(stream_args(*FASTER, *constant, "--ckpt_path", str(begun / "checkpoints/last.ckpt"))) == 0
    assert "precision: " not in capsys.readouterr().out
    assert main(stream_args(*constant)) == 0
    _, resumed, plain = (weights(run) for run in run_folders(Path("runs")))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(resumed, plain, strict=True))


def test_a_precision_that_is_given_is_used(
    gain: list[float], stream_args: Args, capsys: pytest.CaptureFixture[str]
) -> None:
    gain[0] = 9.0
    assert main(stream_args(*FASTER, "--trainer.precision", "32-true", "--trainer.max_epochs", "1")) == 0
    assert "as fast as" not in capsys.readouterr().out


def test_what_it_cannot_measure_by_is_refused() -> None:
    with pytest.raises(ValueError, match=r"least_gain 0.9 given, at least 1 is needed"):
        FasterPrecision(least_gain=0.9)
