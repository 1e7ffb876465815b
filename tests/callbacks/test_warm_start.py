from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightning_app.__main__ import main
from tests.conftest import only_run

WARM = "--trainer.callbacks+=WarmStart"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = only_run(folder) / "checkpoints" / "last.ckpt"
    return dict(torch.load(checkpoint, weights_only=True)["state_dict"])


def test_a_fit_begins_with_the_weights_of_a_checkpoint_and_a_resumed_one_does_not(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(fit_args("--run.root", str(first))) == 0
    checkpoint = only_run(first) / "checkpoints" / "best.ckpt"
    warm = [WARM, f"--trainer.callbacks.checkpoint={checkpoint}", "--run.root", str(second)]
    still = ["--model.optimizer.lr", "0.0", "--trainer.max_epochs", "1"]
    assert main(fit_args(*warm, *still, "--ckpt_path", "last")) == 0
    said = capsys.readouterr().out
    assert "warm start: " in said
    best = dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    after = weights(second)
    assert all(torch.equal(best[name], after[name]) for name in best)
    assert main(fit_args(*warm, "--trainer.max_epochs", "2", "--ckpt_path", "last")) == 0
    assert "warm start: " not in capsys.readouterr().out


def test_a_checkpoint_of_another_model_is_refused_and_other_shapes_are_named(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--run.root", str(tmp_path / "first"))) == 0
    checkpoint = only_run(tmp_path / "first") / "checkpoints" / "best.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    name = next(name for name in content["state_dict"] if name.endswith("weight"))
    content["state_dict"][name] = torch.zeros(1, 1, 1)
    torch.save(content, tmp_path / "changed.ckpt")
    capsys.readouterr()
    warm = [WARM, f"--trainer.callbacks.checkpoint={tmp_path / 'changed.ckpt'}"]
    assert main(fit_args(*warm, "--run.root", str(tmp_path / "second"))) == 0
    assert f"not in it, or of another shape: {name}" in capsys.readouterr().out
    torch.save({"state_dict": {"other": torch.zeros(1)}}, tmp_path / "changed.ckpt")
    assert main(fit_args(*warm, "--run.root", str(tmp_path / "third"))) == 2
    assert "has none of the weights of this model" in capsys.readouterr().err
