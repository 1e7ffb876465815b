"""Trains a pruned model on, as any other: through `fit`, into a run folder of its own."""

from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from lightning_app.cli import AppCLI
from lightning_app.cli import run as run_cli
from lightning_app.cli.trained_run import TrainedRun
from lightning_app.errors import UsageError
from lightning_app.packaging.optimize.pruning import Pruned, prune, pruned_config, sites_of
from models import Forecaster

_BATCHES = 32
"""Training batches that importance is measured on."""


def pruned_run(trained: TrainedRun, folder: Path, *, share: float, epochs: int) -> tuple[TrainedRun, Pruned]:
    """Prunes a forecaster and trains it on.

    Args:
        trained: The forecaster with its data.
        folder: For the config of the smaller model.
        share: Of features and heads to take out.
        epochs: Of the training afterwards.

    Returns:
        run: The best checkpoint of the smaller model.
        pruned: What was taken out.

    Raises:
        UsageError: The network cannot be pruned.
    """
    module, data = trained.model, trained.datamodule
    if not isinstance(module, Forecaster):
        raise UsageError(f"optimize: pruned given, but a {type(module).__name__} is no Forecaster with a transformer")
    sites_of(module.network)  # first, before any data is read
    data.prepare_data()
    data.setup("fit")
    with torch.enable_grad():
        pruned = prune(module, islice(iter(data.train_dataloader()), _BATCHES), share=share)
    config = folder / "pruned.yaml"
    config.write_text(yaml.safe_dump(pruned_config(trained.resolved, pruned, epochs=epochs), sort_keys=False))
    state = {
        **module.state_dict(),
        **{f"network.{name}": tensor for name, tensor in pruned.weights.items()},
    }
    finished = run_cli(["fit", "--config", str(config)], command=lambda args: _Recovery(args, state=state))
    return TrainedRun(["--ckpt_path", str(finished.folder.checkpoints / "best.ckpt")]), pruned


class _Recovery(AppCLI):
    """A fit that starts from given weights."""

    job = "prune"

    def __init__(self, args: list[str], *, state: dict[str, Tensor]) -> None:
        self._state = state
        super().__init__(args)

    def before_fit(self) -> Any:
        """Called by LightningCLI."""
        self.model.load_state_dict(self._state)
