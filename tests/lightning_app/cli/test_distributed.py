"""Two processes with batch B / 2 train like one with batch B."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from tests.conftest import CONFIGS, load_weights, only_run
from tests.forked import run_jobs

# The key bias of an attention has no gradient in exact arithmetic: with the usual tiny eps, Adam would turn its
# rounding noise, which depends on the order of sums, into full steps.
OPTIONS = (
    "--model.network.dropout",
    "0",
    "--model.optimizer.eps",
    "1e-4",
    "--trainer.max_epochs",
    "4",
    "--trainer.limit_train_batches",
    "5",
)


def lightning_app(*args: str, interrupt: list[Any] | None = None) -> None:
    """Runs a command, which must succeed, or, if it is told to, end itself at a batch of the training."""
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent), "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    environment |= {"INTERRUPT": json.dumps(interrupt)} if interrupt else {}
    command = [sys.executable, "-m", "lightning_app", *args]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert (answer.returncode == 0) == (interrupt is None), answer.stdout + answer.stderr


@pytest.mark.slow
def test_two_ranks_equal_one(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert run_jobs([{"args": fit_args(*OPTIONS, "--run.root", str(one))}]) == [0]
    ddp = ("-c", str(CONFIGS / "trainer/ddp.yaml"), "--trainer.accelerator", "cpu", "--trainer.devices", "2")
    verb, *rest = fit_args(*OPTIONS, "--data.batch_size", "8", "--run.root", str(two))
    lightning_app(verb, *ddp, *rest, "--trainer.accelerator", "cpu")

    folders = [only_run(root) for root in (one, two)]
    single, double = (load_weights(folder / "checkpoints" / "last.ckpt") for folder in folders)
    differences = {name: float((single[name].double() - double[name].double()).abs().max()) for name in single}
    assert max(differences.values()) <= 1e-6, differences
    assert torch.load(folders[1] / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 20


@pytest.mark.slow
def test_two_ranks_resume_and_test_as_one(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    two = tmp_path / "two"
    ranks = ("--trainer.strategy", "ddp", "--trainer.devices", "2", "--data.batch_size", "8")
    lightning_app(*fit_args(*OPTIONS, *ranks, "--run.root", str(two)))
    folder = only_run(two)

    # resumed on two ranks, which both want to take over the best checkpoint
    lightning_app(
        "fit", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt"), "--trainer.max_epochs", "5",
        "--run.root", str(tmp_path / "more"),
    )  # fmt: skip
    assert (only_run(tmp_path / "more") / "checkpoints" / "best.ckpt").exists()

    # 69 test windows do not divide by 2: each is counted once, whoever it falls to
    checkpoint = str(folder / "checkpoints" / "last.ckpt")
    results = []
    for options in (("--trainer.devices", "2"), ("--trainer.devices", "1", "--trainer.strategy", "auto")):
        lightning_app("test", "--ckpt_path", checkpoint, "--data.eval_batch_size", "16", *options)
        metrics = json.loads((folder / "metrics.json").read_text())
        results.append([metrics[name] for name in ("test/mse", "test/mae", "test/loss")])
    assert results[0] == pytest.approx(results[1], rel=1e-6)


@pytest.mark.slow
def test_two_ranks_with_half_the_lanes_each_equal_one(stream_args: Callable[..., list[str]], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    options = ("--model.dropout", "0", "--model.encoder.weight_drop", "0", "--trainer.limit_train_batches", "1.0",
               "--model.scheduler", "null", "--model.optimizer.eps", "1e-4",
               "--data.arrangement", "aligned")  # fmt: skip
    lightning_app(*stream_args(*options, "--run.root", str(one)))
    ddp = ("--trainer.strategy", "ddp", "--trainer.devices", "2", "--data.batch_size", "2")
    lightning_app(*stream_args(*options, *ddp, "--run.root", str(two)))

    folders = [only_run(root) for root in (one, two)]
    single, double = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in folders)
    # Lanes end at different steps: the ranks' losses are means over different numbers of tokens.
    # The state is of the last of many steps with weights that differ by that much.
    for key, tolerance in (("state_dict", 1e-6), ("carried_state", 1e-5)):
        ours, theirs = single[key], double[key]
        pairs = [(ours[name], theirs[name]) for name in (ours if isinstance(ours, dict) else range(len(ours)))]
        assert max(float((a.double() - b.double()).abs().max()) for a, b in pairs) <= tolerance, key
    assert single["global_step"] == double["global_step"]

    # Two ranks are killed in the middle of an epoch, and one goes on: lanes find their states.
    interrupted = (
        "--trainer.callbacks+=LastCheckpoint", "--trainer.callbacks.every_n_steps=3",
        "--trainer.callbacks+=tests.interrupt.Interrupt", "--run.root", str(tmp_path / "cut"),
    )  # fmt: skip
    lightning_app(*stream_args(*options, *ddp, *interrupted), interrupt=[4, "train", 9])
    checkpoint = str(only_run(tmp_path / "cut") / "checkpoints" / "last.ckpt")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 3
    lightning_app(
        "fit", "--ckpt_path", checkpoint, "--trainer.devices", "1", "--trainer.strategy", "auto",
        "--data.batch_size", "4", "--run.root", str(tmp_path / "joined"), "--trust", "tests",
    )  # fmt: skip
    joined = load_weights(only_run(tmp_path / "joined") / "checkpoints" / "last.ckpt")
    differences = {
        name: float((joined[name].double() - weight.double()).abs().max())
        for name, weight in single["state_dict"].items()
    }
    assert max(differences.values()) <= 1e-6, differences

    # Both processes' predictions are in the one file.
    tables = []
    for devices in (ddp[:4], ("--trainer.strategy", "auto", "--trainer.devices", "1")):
        lightning_app("predict", "--ckpt_path", str(folders[1] / "checkpoints" / "last.ckpt"), *devices)
        tables.append(pl.read_parquet(folders[1] / "predictions.parquet").sort("document", "position"))
    assert tables[0].select("document", "position", "token").equals(tables[1].select("document", "position", "token"))
