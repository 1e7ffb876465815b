"""Two checkpoints per run: the best by the monitored metric, and the last for resuming.

They are two callbacks because one `ModelCheckpoint(monitor=..., save_last=True)` writes the last checkpoint only
when it also saves a new best.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from typing_extensions import override

SIGTERM_EXIT_CODE = 143  # 128 + 15, what a shell reports for a process ended by SIGTERM
_STANDARD_ERRORS = 2.0


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`: the weights with the best monitored metric so far.

    A resumed run writes to a folder of its own; it takes over the best checkpoint that it resumes from, so that its
    best is that of the whole training, not only of the part after the interruption. With
    `trainer.num_sanity_val_steps: -1` the model is validated before training too, and may turn out to be the best.

    A fit of fewer epochs than `trainer.check_val_every_n_epoch` is validated after its last one, and says so: without
    any validation there is no best.

    `best_metrics` holds all metrics of the validation that chose it, with its `epoch` and `step`.

    Args:
        monitor: The metric.
        mode: Whether a low (`min`) or a high (`max`) value is better.
        untrained_margin: Share by which a trained model must be better than the untrained one to take its place;
            None takes the model's. Where the model logs the gain's standard error, it must also be two of them.
        dirpath: Folder of the checkpoints; None takes `checkpoints` in the trainer's default_root_dir.
        inherit_from: Folder of the checkpoint that is resumed, if it is another one.
    """

    def __init__(
        self,
        *,
        monitor: str,
        mode: Literal["min", "max"] = "min",
        untrained_margin: float | None = None,
        dirpath: str | None = None,
        inherit_from: str | None = None,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self.inherit_from = inherit_from
        self.untrained_margin = untrained_margin
        self.best_metrics: dict[str, float] = {}
        self._untrained: float | None = None
        # Lightning takes "saved at step 0" for "nothing new"; a baseline in closed form never takes a step.
        self._last_global_step_saved = -1

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.dirpath = self.dirpath or str(_checkpoint_folder(trainer))
        every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs
        if stage == "fit" and every is not None and epochs is not None and 0 < epochs < every:
            trainer.check_val_every_n_epoch = epochs
            pl_module.print(
                f"trainer.check_val_every_n_epoch: {every} is beyond the last of {epochs} epochs, which is validated"
            )
        super().setup(trainer, pl_module, stage)

    @override
    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the untrained model a candidate, where the whole validation split was run before training."""
        if trainer.num_sanity_val_steps == float("inf"):
            candidates = self._monitor_candidates(trainer)
            self._untrained = float(candidates[str(self.monitor)])
            self._save_topk_checkpoint(trainer, candidates)

    @override
    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        if self._untrained is not None and current is not None and self.best_model_score is not None:
            untrained_leads = float(self.best_model_score) == self._untrained
            gain = self._untrained - float(current) if self.mode == "min" else float(current) - self._untrained
            margin = (self.untrained_margin or 0.0) * abs(self._untrained)
            error = trainer.callback_metrics.get(f"{self.monitor}_gain_error", torch.tensor(0.0))
            if untrained_leads and not gain > max(margin, _STANDARD_ERRORS * float(error)):
                return False
        return super().check_monitor_top_k(trainer, current)

    @override
    def _update_best_and_save(self, current: Tensor, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        kept = (
            name for name in monitor_candidates if name.startswith("val/") or name in ("epoch", "step", self.monitor)
        )
        self.best_metrics = {name: float(monitor_candidates[name]) for name in kept}
        super()._update_best_and_save(current, trainer, monitor_candidates)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "untrained": self._untrained, "best_metrics": self.best_metrics}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        self._untrained = state_dict.get("untrained")
        own = Path(self.dirpath) / "best.ckpt"
        inherited = Path(self.inherit_from or self.dirpath) / "best.ckpt"
        score = state_dict["best_model_score"]
        if score is None or not inherited.is_file():
            return  # nothing was validated yet, or the file is gone: the best of what follows is the best there is
        link_or_copy(inherited, own)
        self.best_metrics = state_dict.get("best_metrics", {})
        super().load_state_dict(
            {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": str(own),
                "kth_best_model_path": str(own),
                "best_k_models": {str(own): score},
                "last_model_path": "",
            }
        )


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt`: from it a fit continues as if it had never stopped.

    Saved after each validation, at the end of each epoch, every `every_n_steps` optimizer steps in between, and on
    SIGTERM, which then ends the process with exit code 143. A SIGTERM during validation waits for its end: half a
    validation cannot be resumed to the same metric.

    Args:
        every_n_epochs: Epochs between saves at validations and epoch ends. Where an epoch takes milliseconds, as on
            one small graph, saving each would take longer than training. The end of the fit is always saved.
        every_n_steps: Optimizer steps between saves within an epoch; None saves at validations and epoch ends only.
        dirpath: Folder of the checkpoint; None takes `checkpoints` in the trainer's default_root_dir.
    """

    def __init__(
        self, *, every_n_epochs: int = 1, every_n_steps: int | None = None, dirpath: str | None = None
    ) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"LastCheckpoint.every_n_epochs: {every_n_epochs} given, at least 1 is needed")
        self.dirpath = dirpath
        self.every_n_epochs = every_n_epochs
        self.every_n_steps = every_n_steps
        self._saved_position: tuple[int, int, int] | None = None
        self._terminating = False

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.dirpath = self.dirpath or str(_checkpoint_folder(trainer))

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        terminating = self._sigterm_received(trainer)
        if _validation_or_epoch_end_follows(trainer, batch_idx):
            return  # saved there; a checkpoint of this moment would skip that validation when resumed
        due = self.every_n_steps and trainer.global_step and trainer.global_step % self.every_n_steps == 0
        if terminating or (due and self._new_step(trainer)):
            self._save(trainer)
        if terminating:
            # Lightning logs the step after this hook, and the resumed fit will not take it again.
            trainer._logger_connector.on_batch_end()
            trainer._logger_connector.update_train_step_metrics()
            raise SystemExit(SIGTERM_EXIT_CODE)

    @override
    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.state.fn == "fit" and trainer.received_sigterm:
            # Lightning would leave after this batch; see the class for why we do not.
            self._terminating = True
            trainer._signal_connector.received_sigterm = False

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._save_if_due(trainer)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save_if_due(trainer)

    def _save_if_due(self, trainer: Trainer) -> None:
        terminating = self._sigterm_received(trainer)
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0 or _last_epoch(trainer)
        if terminating or due:
            self._save(trainer)
        if terminating:
            if trainer.training:  # the end of an epoch, whose means Lightning logs after this hook
                trainer._logger_connector.on_epoch_end()
                trainer.fit_loop.epoch_loop._batches_that_stepped -= 1
                trainer._logger_connector.update_train_epoch_metrics()
            raise SystemExit(SIGTERM_EXIT_CODE)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Lightning noticed the signal between two batches, before this callback could.
        if isinstance(exception, SIGTERMException) and trainer.training:
            self._save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Saves now, for a callback that has done work which a killed fit should not lose."""
        if self.dirpath is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(Path(self.dirpath) / "last.ckpt")

    def _sigterm_received(self, trainer: Trainer) -> bool:
        received = self._terminating or trainer.received_sigterm
        if trainer.world_size == 1:
            return received
        return trainer.strategy.reduce_boolean_decision(received, all=False)

    def _new_step(self, trainer: Trainer) -> bool:
        """False for the further micro-batches of one optimizer step."""
        return self._saved_position is None or self._saved_position[0] != trainer.global_step

    def _save(self, trainer: Trainer) -> None:
        epochs: Any = trainer.fit_loop.epoch_progress.total
        batches = trainer.fit_loop.epoch_loop.batch_progress.total
        position = (trainer.global_step, batches.completed, epochs.processed)
        if trainer.fast_dev_run or position == self._saved_position:  # type: ignore[attr-defined]
            return
        self._saved_position = position
        assert self.dirpath is not None
        trainer.save_checkpoint(Path(self.dirpath) / "last.ckpt")


def _checkpoint_folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints"


def _last_epoch(trainer: Trainer) -> bool:
    # Not `trainer.fit_loop.done`: asking it changes the progress that the checkpoint is to hold.
    by_epochs = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
    by_steps = trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps
    return by_epochs or by_steps or trainer.should_stop


def _validation_or_epoch_end_follows(trainer: Trainer, batch_idx: int) -> bool:
    if batch_idx + 1 >= trainer.num_training_batches:
        return True
    interval = trainer.val_check_batch
    if not trainer.enable_validation or interval is None or interval == float("inf"):
        return False
    count = batch_idx if trainer.check_val_every_n_epoch is not None else trainer.fit_loop.epoch_loop.total_batch_idx
    return (count + 1) % int(interval) == 0


def link_or_copy(source: Path, target: Path) -> None:
    """Gives a file a second name; checkpoints are replaced, never changed, so that a link is as good as a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:  # another process of this run was first
        return
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
