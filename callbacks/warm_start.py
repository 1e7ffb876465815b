"""WarmStart: a fit that begins with the weights of another one."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override


class WarmStart(Callback):
    """Copies the weights of a checkpoint before the first step; a fit that is resumed keeps its own.

    Weights of the same name and shape are copied. Others, such as those of an embedding whose categories are more by
    now, stay as they were initialised, which is said. Buffers, the optimizer and the position in the training are not
    taken over.

    Args:
        checkpoint: The checkpoint.
    """

    def __init__(self, *, checkpoint: Path) -> None:
        self.checkpoint = checkpoint

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is not None:
            return
        theirs = torch.load(self.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        own = dict(pl_module.named_parameters())
        copied = [name for name in own if name in theirs and theirs[name].shape == own[name].shape]
        with torch.no_grad():
            for name in copied:
                own[name].copy_(theirs[name])
        others = sorted(own.keys() - set(copied))
        more = f"; not in it, or of another shape: {', '.join(others)}" if others else ""
        if trainer.is_global_zero:
            print(f"warm start: {len(copied)} of {len(own)} weights of {self.checkpoint}{more}", flush=True)  # noqa: T201
        if not copied:
            raise ValueError(f"callbacks.WarmStart.checkpoint: {self.checkpoint} has none of the weights of this model")
