"""Run record: callback that writes config, lineage, metrics and the test report into the run folder."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from rich.table import Table
from typing_extensions import override

from callbacks.checkpoints import BestCheckpoint, link_or_copy
from datamodules import BaseDataModule
from lightning_app.atomic_write import write_whole
from lightning_app.config.config_changes import config_changes
from lightning_app.config.trust import trust_words
from lightning_app.runs.history import History
from lightning_app.runs.lineage import describe_lineage
from lightning_app.runs.model_facts import monitor_mode_of, num_fitted_of
from lightning_app.runs.repository import describe_repository
from lightning_app.runs.run_folder import RunFolder, run_folder_of
from lightning_app.runs.run_report import write_report
from lightning_app.runs.trained_on import TrainedOn, training_files
from lightning_app.terminal import show

_ROWS = "history_rows"


class RunRecord(Callback):
    """Writes config and lineage when a fit starts, metrics while it runs, and a report after the test.

    Args:
        folder: Run folder.
        config: Resolved config.
        history: Logger behind `metrics.csv` and `metrics.json`.
        checkpoint: Checkpoint that is resumed or evaluated, or None.
        allow_changed_data: Whether to accept data that have changed since the checkpoint was trained.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: dict[str, Any],
        history: History,
        checkpoint: Path | None,
        *,
        allow_changed_data: bool = False,
    ) -> None:
        self.folder = folder
        self.config = config
        self.history = history
        self.checkpoint = checkpoint
        self.allow_changed_data = allow_changed_data
        self.differences: list[str] = []
        self.started = False
        self._inherited_rows = 0
        self._best_metrics: dict[str, float] = {}

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._compare(trainer, stage)
        best = self.folder.checkpoint("best")
        if stage == "validate" and self.checkpoint and best and self.checkpoint.resolve() != best.resolve():
            self.history.validates(self.checkpoint.stem)  # `val/...` are of `best.ckpt`
        if not trainer.is_global_zero:
            return
        if self.folder.config.exists():
            if stage == "predict":  # nothing but its table is written, which lacks what the notes name
                _print_notes(trainer)
            return
        lineage = describe_lineage(
            seed=self.config.get("seed_everything"),
            data=_fingerprint(trainer),
            parent=str(self.checkpoint) if self.checkpoint else None,
        )
        lineage |= training_files(self.config)
        lineage["repository"] = describe_repository(Path.cwd(), self.folder.path)
        write_whole(self.folder.config, yaml.safe_dump(self.config, sort_keys=False))
        write_whole(self.folder.lineage, json.dumps(lineage, indent=2) + "\n")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update({"lineage": lineage})
        _print_notes(trainer)
        fitted = num_fitted_of(pl_module)
        print(f"run: {self.folder.path}\nmodel: {_name(pl_module)}, {fitted:,} parameters", flush=True)  # noqa: T201

    def _compare(self, trainer: Trainer, stage: str) -> None:
        """Compares data and own code with what the checkpoint was trained on."""
        run = run_folder_of(self.checkpoint) if self.checkpoint is not None else None
        if run is None:
            return
        before = yaml.safe_load(run.config.read_text())
        trained = TrainedOn(run, before=before, now=self.config, fingerprint=_fingerprint(trainer))
        self.differences = trained.check(verb=stage, allowed=self.allow_changed_data)
        if trainer.is_global_zero:
            for difference in self.differences:
                print(f"warning: {difference}", file=sys.stderr, flush=True)  # noqa: T201

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[_ROWS] = self.history.num_rows
        self._keep_best_metrics(trainer)

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._inherited_rows = checkpoint.get(_ROWS, 0)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = True
        if self.checkpoint is None or not trainer.is_global_zero:
            return
        parent = RunFolder(self.checkpoint.resolve().parent.parent)
        self.history.inherit(parent.history, trainer.global_step, num_rows=self._inherited_rows)
        self._keep_best_metrics(trainer)
        if self.checkpoint.is_file():
            # Until this run saves a checkpoint of its own, it can be resumed from its parent's. Done last, because
            # resuming takes the newest folder that has this file, and needs its history and best checkpoint.
            link_or_copy(self.checkpoint, self.folder.checkpoints / "last.ckpt")

    def _keep_best_metrics(self, trainer: Trainer) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, BestCheckpoint) and callback.best_metrics != self._best_metrics:
                self._best_metrics = dict(callback.best_metrics)
                self.history.keep_best(self._best_metrics)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.history.save()

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        best = self.folder.checkpoints / "best.ckpt"
        has_folder = self.started or self.checkpoint is None  # the folder of a fit with nothing left to do is removed
        if trainer.is_global_zero and best.exists() and has_folder:
            trust = trust_words(self.config)
            print(f"best checkpoint: {best}\ntest it: lightning-app test --ckpt_path {best}{trust}")  # noqa: T201

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluated(trainer, "test/")
        if trainer.is_global_zero:
            write_report(
                self.folder,
                config=self.config,
                model=_name(pl_module),
                data=trainer.datamodule,  # type: ignore[attr-defined]
                checkpoint=self.checkpoint,
                metrics=_metrics(trainer, "test/"),
                remarks=[*self._remarks(trainer), *_lines(pl_module, "remarks")],
                monitor=getattr(pl_module, "monitor", None),
                monitor_mode=monitor_mode_of(pl_module),
            )
            print(f"report: {self.folder.report}")  # noqa: T201
            picture = self.folder.path / "forecast.png"
            if picture.exists():
                print(f"picture: {picture}")  # noqa: T201

    def _remarks(self, trainer: Trainer) -> list[str]:
        """Ways in which this test differs from the run's config and from the full test split."""
        run = run_folder_of(self.checkpoint) if self.checkpoint is not None else None
        recorded = yaml.safe_load((run or self.folder).config.read_text())
        changes = config_changes(recorded, self.config).items()
        remarks = [f"{key} was {now} instead of {before}" for key, (before, now) in changes]
        remarks += [f"**{difference}**" for difference in self.differences]
        limit = trainer.limit_test_batches
        if limit not in (1.0, None):
            remarks.append(f"**only a part of the split was tested** (trainer.limit_test_batches: {limit})")
        return remarks

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "validate":
            self._evaluated(trainer, "val/")

    def _evaluated(self, trainer: Trainer, prefix: str) -> None:
        metrics = _metrics(trainer, prefix)
        if not (trainer.is_global_zero and metrics):
            return
        self.history.update(metrics)
        table = Table("metric", "value")
        for name, value in metrics.items():
            table.add_row(name, f"{value:.4f}")
        show(table)


def _metrics(trainer: Trainer, prefix: str) -> dict[str, float]:
    everything = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
    of_stage = {name: value for name, value in everything.items() if name.startswith(prefix)}
    return of_stage or everything  # a third-party LightningModule may use names without our prefixes


def _fingerprint(trainer: Trainer) -> dict[str, Any]:
    data = getattr(trainer, "datamodule", None)
    return data.fingerprint() if isinstance(data, BaseDataModule) else {}


def _lines(part: Any, name: str) -> list[str]:
    """Lines of a method that only some modules have."""
    method = getattr(part, name, None)
    return list(method()) if callable(method) else []


def _print_notes(trainer: Trainer) -> None:
    """Prints what was dropped, inserted or filled while reading the data."""
    data = getattr(trainer, "datamodule", None)
    for note in data.notes() if isinstance(data, BaseDataModule) else []:
        print(f"data: {note}", flush=True)  # noqa: T201


def _name(pl_module: LightningModule) -> str:
    network = getattr(pl_module, "network", None)
    return type(pl_module).__name__ + (f"({type(network).__name__})" if network is not None else "")
