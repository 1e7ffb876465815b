"""Trained run: a trained model with its data, from a checkpoint or a Python program, for verbs without a trainer."""

import sys
from dataclasses import dataclass, field
from typing import Any

import torch
import yaml
from lightning.pytorch import Trainer
from typing_extensions import override

from datamodules import BaseDataModule
from lightning_app.card_options import CardOptions
from lightning_app.cli import AppCLI
from lightning_app.errors import UsageError
from lightning_app.runs.run_folder import run_folder_of
from lightning_app.runs.trained_on import TrainedOn
from models import BaseModule


@dataclass(frozen=True)
class TrainedObject:
    """A module that a Python program has, with its data.

    Attributes:
        model: In evaluation, on the CPU.
        datamodule: Its data.
        resolved: As much of a config as is known of the two.
        card: Sections of the model card.
    """

    model: BaseModule
    datamodule: BaseDataModule
    resolved: dict[str, Any]
    card: CardOptions = field(default_factory=CardOptions)


class TrainedRun(AppCLI):
    """What a checkpoint and its config make, as any verb of a checkpoint would; nothing is run.

    `model` has the weights of the checkpoint and is in evaluation on the CPU; `datamodule` is that of the config;
    `folder` is where the run is kept.

    Args:
        args: Options as of `predict`: `--ckpt_path`, maybe `-c` and overrides.
    """

    def __init__(self, args: list[str]) -> None:
        super().__init__(["predict", *args])

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    def differences(self) -> list[str]:
        """What is not as it was when the run was trained; printed too. The data module has been set up.

        Raises:
            UsageError: The data have changed, and nobody said that it is meant.
        """
        run = run_folder_of(self.source.path) if self.source.path is not None else None
        if run is None:
            return []
        if not isinstance(self.datamodule, BaseDataModule):
            kind = type(self.datamodule).__name__
            raise UsageError(f"data: {kind} is no BaseDataModule of this project, of which packages are made")
        before = yaml.safe_load(run.config.read_text())
        trained = TrainedOn(run, before=before, now=self.resolved, fingerprint=self.datamodule.fingerprint())
        differences = trained.check(verb="export", allowed=self._get(self.config, "allow_changed_data"))
        for difference in differences:
            print(f"warning: {difference}", file=sys.stderr, flush=True)  # noqa: T201
        return differences

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        if self.source.path is None:
            raise UsageError("ckpt_path: none given; give a file, or 'last' or 'best' with the config as -c")
        if self.source.path.is_dir():
            raise UsageError(f"ckpt_path: {self.source.path} is sharded; consolidate it into one file first")
        self.source.check(self.model)
        checkpoint = torch.load(self.source.path, map_location="cpu", weights_only=True)
        try:
            self.model.on_load_checkpoint(checkpoint)
            self.model.load_state_dict(checkpoint["state_dict"])
        except RuntimeError as error:
            raise UsageError(f"ckpt_path: the checkpoint does not fit the model: {error}") from error
        self.model.cpu().eval()
