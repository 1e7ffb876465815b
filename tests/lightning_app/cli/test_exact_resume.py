"""A fit that is killed and resumed ends with the weights of one that was never killed, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_app.runs.history import read_history
from tests.conftest import load_weights, run_folders
from tests.forked import run_jobs

ROOT = Path(__file__).parents[3]
KILL, TERM = int(signal.SIGKILL), int(signal.SIGTERM)
CALLBACKS = (
    "--trainer.callbacks+=WeightAverage",
    "--trainer.callbacks.decay=0.9",
    "--trainer.callbacks+=LastCheckpoint",
    "--trainer.callbacks.every_n_steps=2",
    "--trainer.callbacks+=tests.interrupt.Interrupt",
)
VARIANTS = {
    "plain": (),
    "accumulation": ("--trainer.accumulate_grad_batches", "2"),
    "accumulation cut by validation": ("--trainer.accumulate_grad_batches", "2", "--trainer.val_check_interval", "3"),
    "validation within the epoch": ("--trainer.val_check_interval", "2"),
    "no validation": ("--trainer.limit_val_batches", "0"),
    "workers": ("--data.num_workers", "2"),
    "overfitting": ("--trainer.overfit_batches", "5"),
    "double precision": ("--trainer.precision", "64-true"),
    "early stopping": (
        "--trainer.callbacks+=EarlyStopping",
        "--trainer.callbacks.monitor=val/loss",
        "--trainer.callbacks.patience=1",
        "--trainer.callbacks.min_delta=10",
        "--trainer.max_epochs=4",
    ),
    "plateau scheduler": (
        "--model.scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau",
        "--model.scheduler.patience=0",
        "--model.scheduler.threshold=0.9",
    ),
}
INTERRUPTS: dict[str, list[list[Any]]] = {
    "plain": [[3, "train", KILL], [4, "validation", KILL]],
    "no validation": [[3, "train", KILL], [5, "train", KILL], [4, "train", TERM]],
    # between the save after the validation and that of the epoch's end; in the validation
    "early stopping": [[4, "epoch end", KILL], [9, "validation", TERM]],
}
VALIDATES_AFTER = {
    "accumulation": 4,
    "accumulation cut by validation": 2,
    "validation within the epoch": 3,
    "workers": 4,
    "plateau scheduler": 4,
}


def slow_if(variants: dict[str, Any], *covered: str) -> list[Any]:
    """The variants; those that others cover for the most part are left to the slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in covered else name for name in variants]


def same_checkpoint(path: Path, other: Path) -> bool:
    """Whether weights, averaged and trained ones, and the optimizer's state are equal to the last bit."""
    ours, theirs = (torch.load(file, weights_only=True) for file in (path, other))
    keys = ("state_dict", "trained_weights", "optimizer_states", "global_step", "carried_state")
    return all(_equal(ours.get(key), theirs.get(key)) for key in keys)


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(_equal(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    return bool(ours == theirs)


def kill_and_resume(
    fit_args: Callable[..., list[str]], tmp_path: Path, options: tuple[str, ...], interrupts: list[list[Any]]
) -> list[int]:
    """One uninterrupted fit, then one fit and its continuation per interrupt, each in a root of its own."""
    jobs = [{"args": fit_args(*CALLBACKS, *options, "--run.root", str(tmp_path / "whole"))}]
    for index, interrupt in enumerate(interrupts):
        args = fit_args(*CALLBACKS, *options, "--run.root", str(tmp_path / f"cut{index}"))
        jobs += [{"args": args, "interrupt": interrupt}, {"args": [*args, "--ckpt_path", "last"]}]
    return run_jobs(jobs)


@pytest.mark.parametrize("variant", slow_if(VARIANTS, *(variant for variant in VARIANTS if variant != "plain")))
def test_killed_fit_resumes_to_the_same_bits(variant: str, fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    # 2 epochs of 5 batches: in the middle of one, and in validation; every batch in the slow test below
    interrupts = [[3, "train", KILL]]
    if variant in VALIDATES_AFTER:
        interrupts.append([VALIDATES_AFTER[variant], "validation", KILL])
    interrupts = INTERRUPTS.get(variant, interrupts)
    codes = kill_and_resume(fit_args, tmp_path, VARIANTS[variant], interrupts)
    assert codes == [0, *(code for _, _, by in interrupts for code in (143 if by == TERM else -KILL, 0))]
    (whole,) = run_folders(tmp_path / "whole")
    for index in range(len(interrupts)):
        resumed = run_folders(tmp_path / f"cut{index}")[-1]
        for name in ("last", "best"):
            expected = whole / "checkpoints" / f"{name}.ckpt"
            if expected.exists():
                assert same_checkpoint(expected, resumed / "checkpoints" / f"{name}.ckpt"), (interrupts[index], name)


STREAM_VARIANTS = {
    "one cycle": (),
    "accumulation cut by validation": VARIANTS["accumulation cut by validation"],
    "workers, aligned": ("--data.num_workers", "2", "--data.arrangement", "aligned", "--data.window", "8"),
}


@pytest.mark.parametrize(
    "variant", slow_if(STREAM_VARIANTS, "one cycle", "workers, aligned", "accumulation cut by validation")
)
def test_a_killed_fit_on_streams_resumes_to_the_same_bits_and_the_same_carried_state(
    variant: str, stream_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    validation = 2 if "validation" in variant else 4
    interrupts = [[3, "train", KILL], [5, "train", KILL], [validation, "validation", KILL]]
    codes = kill_and_resume(stream_args, tmp_path, STREAM_VARIANTS[variant], interrupts)
    assert codes == [0, *([-KILL, 0] * len(interrupts))]
    (whole,) = run_folders(tmp_path / "whole")
    saved = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    assert [tuple(tensor.shape) for tensor in saved["carried_state"]] == [(4, 1, 8)] * 2
    for index in range(len(interrupts)):
        resumed = run_folders(tmp_path / f"cut{index}")[-1]
        for name in ("last", "best"):
            ours, theirs = (folder / "checkpoints" / f"{name}.ckpt" for folder in (whole, resumed))
            assert same_checkpoint(ours, theirs), (interrupts[index], name)


@pytest.mark.slow
def test_without_its_carried_state_a_resumed_stream_would_differ(
    stream_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    from lightning_app.__main__ import main

    every = ("--trainer.callbacks+=LastCheckpoint", "--trainer.callbacks.every_n_steps=2")
    assert main(stream_args(*every, "--trainer.max_steps", "2")) == 0
    (first,) = run_folders(tmp_path / "runs")
    checkpoint = torch.load(first / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["carried_state"] = [torch.zeros_like(tensor) for tensor in checkpoint["carried_state"]]
    torch.save(checkpoint, first / "checkpoints" / "emptied.ckpt")
    for name in ("last", "emptied"):
        path = str(first / "checkpoints" / f"{name}.ckpt")
        assert main(["fit", "--ckpt_path", path, "--trainer.max_steps", "4"]) == 0
    kept, emptied = (folder / "checkpoints" / "last.ckpt" for folder in run_folders(tmp_path / "runs")[1:])
    assert not same_checkpoint(kept, emptied)


def test_a_resumed_run_has_a_folder_of_its_own_with_the_whole_history(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    kill_and_resume(fit_args, tmp_path, (), [[8, "train", KILL]])
    (whole,) = run_folders(tmp_path / "whole")
    interrupted, resumed = run_folders(tmp_path / "cut0")
    assert json.loads((resumed / "lineage.json").read_text())["parent"].startswith(str(interrupted))
    assert (interrupted / "checkpoints" / "last.ckpt").exists()
    losses = [(row["step"], row["train/loss"]) for row in read_history(resumed / "metrics.csv")]
    assert losses == [(row["step"], row["train/loss"]) for row in read_history(whole / "metrics.csv")]


@pytest.mark.parametrize(
    "moment",
    [[2, "train", TERM], *(pytest.param([4, at, TERM], marks=pytest.mark.slow) for at in ("validation", "train"))],
)
def test_sigterm_saves_and_exits_143(moment: list[Any], fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    assert kill_and_resume(fit_args, tmp_path, (), [moment]) == [0, 143, 0]
    interrupted, resumed = run_folders(tmp_path / "cut0")
    saved = torch.load(interrupted / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == moment[0] + 1
    (whole,) = run_folders(tmp_path / "whole")
    assert same_checkpoint(whole / "checkpoints" / "last.ckpt", resumed / "checkpoints" / "last.ckpt")


def test_the_command_line_wins_over_the_checkpoint_when_resuming(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--model.scheduler", "null", "--trainer.max_epochs", "1")) == 0
    (first,) = run_folders(tmp_path / "runs")
    checkpoint = str(first / "checkpoints" / "last.ckpt")
    capsys.readouterr()
    assert main(["fit", "--ckpt_path", checkpoint, "--model.optimizer.lr", "0.5", "--trainer.max_epochs", "2"]) == 0
    assert "model.init_args.optimizer.init_args.lr: 0.5 (the checkpoint's run had 0.004)" in capsys.readouterr().out
    second = run_folders(tmp_path / "runs")[-1]
    resumed = torch.load(second / "checkpoints" / "last.ckpt", weights_only=True)
    assert resumed["hyper_parameters"]["optimizer"]["init_args"]["lr"] == 0.5
    assert resumed["optimizer_states"][0]["param_groups"][0]["lr"] == 0.5
    assert resumed["global_step"] == 10


@pytest.mark.slow
def test_a_schedule_scales_with_an_overridden_learning_rate(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--trainer.max_steps", "4")) == 0
    (first,) = run_folders(tmp_path / "runs")
    checkpoint = str(first / "checkpoints" / "last.ckpt")
    for lr in ("0.004", "0.008"):
        assert main(["fit", "--ckpt_path", checkpoint, "--model.optimizer.lr", lr, "--trainer.max_steps", "7"]) == 0
    same, doubled = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0]
        for folder in run_folders(tmp_path / "runs")[1:]
    )
    assert doubled["lr"] == pytest.approx(2 * same["lr"])
    assert doubled["initial_lr"] == pytest.approx(2 * same["initial_lr"])


def test_resuming_with_another_optimizer_class_is_refused(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--trainer.max_epochs", "1")) == 0
    checkpoint = str(run_folders(tmp_path / "runs")[0] / "checkpoints" / "last.ckpt")
    options = ("--model.optimizer", "SGD", "--model.optimizer.lr", "0.1", "--model.scheduler", "null")
    assert main(["fit", "--ckpt_path", checkpoint, *options]) == 2
    assert "trained with torch.optim.AdamW, whose state torch.optim.SGD cannot take over" in capsys.readouterr().err


@pytest.mark.slow
def test_a_scheduler_argument_of_the_command_line_wins_over_the_restored_one(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    from lightning_app.__main__ import main

    scheduler = ("--model.scheduler=torch.optim.lr_scheduler.StepLR", "--model.scheduler.step_size=1")
    assert main(fit_args(*scheduler, "--model.scheduler.gamma", "0.1", "--trainer.max_epochs", "1")) == 0
    checkpoint = str(run_folders(tmp_path / "runs")[0] / "checkpoints" / "last.ckpt")
    assert main(["fit", "--ckpt_path", checkpoint, "--model.scheduler.gamma", "1.0", "--trainer.max_epochs", "2"]) == 0
    resumed = torch.load(run_folders(tmp_path / "runs")[-1] / "checkpoints" / "last.ckpt", weights_only=True)
    assert resumed["lr_schedulers"][0]["gamma"] == 1.0
    assert resumed["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.004 * 0.1**5)


@pytest.mark.slow
def test_a_learning_rate_of_zero_can_be_overridden_too(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--model.scheduler", "null", "--model.optimizer.lr", "0", "--trainer.max_epochs", "1")) == 0
    checkpoint = str(run_folders(tmp_path / "runs")[0] / "checkpoints" / "last.ckpt")
    assert main(["fit", "--ckpt_path", checkpoint, "--model.optimizer.lr", "0.1", "--trainer.max_epochs", "2"]) == 0
    resumed = torch.load(run_folders(tmp_path / "runs")[-1] / "checkpoints" / "last.ckpt", weights_only=True)
    assert resumed["optimizer_states"][0]["param_groups"][0]["lr"] == 0.1


def test_resuming_without_averaging_goes_on_from_the_trained_weights(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--trainer.callbacks+=WeightAverage", "--trainer.max_epochs", "1")) == 0
    checkpoint = run_folders(tmp_path / "runs")[0] / "checkpoints" / "last.ckpt"
    trained = torch.load(checkpoint, weights_only=True)["trained_weights"]
    options = ("--trainer.callbacks", "[]", "--model.optimizer.lr", "0", "--trainer.max_epochs", "2")
    assert main(["fit", "--ckpt_path", str(checkpoint), *options]) == 0
    resumed = load_weights(run_folders(tmp_path / "runs")[-1] / "checkpoints" / "last.ckpt")
    assert all(torch.equal(resumed[name], weight) for name, weight in trained.items())


@pytest.mark.slow
def test_a_checkpoint_from_before_the_first_validation_resumes_beside_a_newer_best_one(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--trainer.max_steps", "3", "--trainer.limit_val_batches", "0")) == 0
    early = run_folders(tmp_path / "runs")[0] / "checkpoints"
    assert main(fit_args()) == 0
    (early / "best.ckpt").write_bytes((run_folders(tmp_path / "runs")[1] / "checkpoints" / "best.ckpt").read_bytes())
    options = ("--trainer.max_steps", "-1", "--trainer.limit_val_batches", "1.0")
    assert main(["fit", "--ckpt_path", str(early / "last.ckpt"), *options]) == 0
    assert (run_folders(tmp_path / "runs")[-1] / "checkpoints" / "best.ckpt").exists()


def test_the_first_start_of_a_job_that_resumes_its_last_run_starts_anew(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--trainer.fast_dev_run", "1", "--ckpt_path", "last")) == 0
    assert "no run in" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["plain", "accumulation cut by validation"])
def test_a_fit_killed_at_any_batch_resumes_to_the_same_bits(
    variant: str, fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    validations = [4, 9] if variant == "plain" else [2, 7]
    interrupts = [[batch, "train", KILL] for batch in range(10)] + [
        [batch, "validation", KILL] for batch in validations
    ]
    codes = kill_and_resume(fit_args, tmp_path, VARIANTS[variant], interrupts)
    assert codes == [0, *([-KILL, 0] * len(interrupts))]
    (whole,) = run_folders(tmp_path / "whole")
    for index, interrupt in enumerate(interrupts):
        resumed = run_folders(tmp_path / f"cut{index}")[-1]
        for name in ("last", "best"):
            ours, theirs = (folder / "checkpoints" / f"{name}.ckpt" for folder in (whole, resumed))
            assert same_checkpoint(ours, theirs), (interrupt, name)


@pytest.mark.slow
def test_a_fit_killed_at_random_times_again_and_again_ends_with_the_same_bits(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    import random
    import time

    options = (*CALLBACKS[:4], "--trainer.max_epochs", "40", "--trainer.limit_train_batches", "10")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start(root: str, *more: str) -> subprocess.Popen[bytes]:
        args = fit_args(*options, "--run.root", str(tmp_path / root), *more)
        return subprocess.Popen(
            [sys.executable, "-m", "lightning_app", *args], env=environment, stdout=subprocess.DEVNULL
        )

    assert start("whole").wait() == 0
    generator, kills = random.Random(0), 0
    while True:
        process = start("cut", "--ckpt_path", "last")
        try:
            assert process.wait(timeout=6 + generator.uniform(0, 3)) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            time.sleep(0.01)
    assert kills > 0
    (whole,) = run_folders(tmp_path / "whole")
    assert same_checkpoint(
        whole / "checkpoints" / "last.ckpt", run_folders(tmp_path / "cut")[-1] / "checkpoints" / "last.ckpt"
    )


EARLY_STOPPING = VARIANTS["early stopping"]


def test_repeating_the_command_of_a_finished_fit_trains_nothing_and_leaves_its_run_the_newest(
    fit_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lightning_app.__main__ import main
    from lightning_app.cli import run

    for options, why in (
        (EARLY_STOPPING, "early stopping ended it"),
        ((), "it has all 2 epochs of trainer.max_epochs"),
    ):
        args = fit_args(*options, "--run.root", str(tmp_path / why))
        assert main(args) == 0
        (folder,) = run_folders(tmp_path / why)
        files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        capsys.readouterr()
        again = run([*args, "--ckpt_path", "last"])
        said = capsys.readouterr().out
        assert f"nothing left to train from {folder / 'checkpoints' / 'last.ckpt'}: {why}" in said
        assert "test it:" not in said  # of a folder that is gone
        assert again.folder.path.resolve() == folder
        assert list((tmp_path / why).glob("*/*")) == [folder]
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files


def test_a_longer_patience_of_the_command_line_trains_a_stopped_fit_further(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args(*EARLY_STOPPING, "--model.scheduler", "null")) == 0
    checkpoint = str(run_folders(tmp_path / "runs")[0] / "checkpoints" / "last.ckpt")
    assert main(["fit", "--ckpt_path", checkpoint, "--trainer.callbacks.patience", "9"]) == 0
    resumed = torch.load(run_folders(tmp_path / "runs")[-1] / "checkpoints" / "last.ckpt", weights_only=True)
    assert resumed["global_step"] == 20


@pytest.mark.slow
def test_a_resume_that_fails_or_is_killed_while_it_starts_does_not_hide_the_run_that_it_continues(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    last = ("--ckpt_path", "last")
    interrupt = [*fit_args("--trainer.callbacks+=tests.interrupt.Interrupt"), *last]
    jobs = [
        {"args": fit_args("--trainer.max_epochs", "1")},
        {"args": interrupt, "interrupt": [4, "start", KILL]},
        {"args": [*fit_args("--trainer.callbacks+=tests.lightning_app.failing.FailsToStart"), *last]},
        {"args": [*fit_args(), *last]},
    ]
    assert run_jobs(jobs) == [0, -KILL, 1, 0]
    first, *_, resumed = run_folders(tmp_path / "runs")
    assert json.loads((resumed / "lineage.json").read_text())["parent"] == str(first / "checkpoints" / "last.ckpt")
    assert (resumed / "checkpoints" / "best.ckpt").exists()
    assert [row["step"] for row in read_history(resumed / "metrics.csv") if row["train/loss"]] == [*map(str, range(10))]


@pytest.mark.slow
def test_the_history_has_the_step_of_a_sigterm_and_validations_within_an_accumulation(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    options = (*VARIANTS["accumulation cut by validation"], "--trainer.log_every_n_steps", "1")
    kill_and_resume(fit_args, tmp_path, options, [[1, "train", TERM], [2, "validation", TERM], [3, "train", TERM]])
    (whole,) = run_folders(tmp_path / "whole")
    for index in range(3):
        resumed = run_folders(tmp_path / f"cut{index}")[-1]
        assert read_history(resumed / "metrics.csv") == read_history(whole / "metrics.csv")


def test_metrics_of_validation_are_of_the_best_checkpoint_and_those_of_the_last_epoch_stand_beside_them(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    from lightning_app.__main__ import main

    assert main(fit_args("--model.scheduler", "null", "--model.optimizer.maximize", "true")) == 0  # each epoch is worse
    (folder,) = run_folders(tmp_path / "runs")
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = [row for row in read_history(folder / "metrics.csv") if row["val/loss"]]
    best = min(rows, key=lambda row: float(row["val/loss"]))
    assert best != rows[-1]
    for name in ("val/loss", "val/mse", "val/mae"):
        assert metrics[name] == float(best[name])
        assert metrics[f"last/{name}"] == float(rows[-1][name])
    assert {name: metrics[f"best/{name}"] for name in ("val/loss", "val/mse", "epoch")} == {
        name: float(best[name]) for name in ("val/loss", "val/mse", "epoch")
    }
    checkpoint = str(folder / "checkpoints" / "last.ckpt")
    assert main(["fit", "--ckpt_path", checkpoint, "--trainer.max_epochs", "3"]) == 0
    resumed = json.loads((run_folders(tmp_path / "runs")[-1] / "metrics.json").read_text())
    assert resumed["val/loss"] == resumed["best/val/loss"] <= metrics["val/loss"]
    assert resumed["last/val/loss"] != metrics["last/val/loss"]
    for kept in ("best", "last"):
        assert main(["validate", "--ckpt_path", str(folder / "checkpoints" / f"{kept}.ckpt")]) == 0
    validated = json.loads((folder / "metrics.json").read_text())
    assert {name: validated[name] for name in metrics} == pytest.approx(metrics)


def test_validation_of_a_run_folder_of_an_earlier_version_is_read_as_that_of_its_best_checkpoint(
    tmp_path: Path,
) -> None:
    from lightning_app.runs.run_folder import RunFolder

    written = {"best/epoch": 1.0, "best/val/mse": 0.5, "test/mse": 0.6, "val/mse": 0.9}
    folder = RunFolder(tmp_path)
    folder.update_metrics(written)
    assert folder.read_metrics() == {**written, "val/mse": 0.5}
    folder.update_metrics({"test/mse": 0.7})
    assert json.loads(folder.metrics.read_text()) == {**written, "test/mse": 0.7}
