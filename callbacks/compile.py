"""Compile: torch.compile of the network of a module."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from typing_extensions import override


class Compile(Callback):
    """`torch.compile` on `pl_module.network`, in place, so that names in checkpoints stay as they are.

    Args:
        mode: `default`, `reduce-overhead` or `max-autotune`.
        dynamic: Compile for changing shapes at once; None lets torch find out.
    """

    def __init__(self, *, mode: str = "default", dynamic: bool | None = None) -> None:
        self.mode = mode
        self.dynamic = dynamic

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        network = getattr(pl_module, "network", None)
        if not isinstance(network, nn.Module):
            raise ValueError(f"callbacks.Compile: {type(pl_module).__name__} has no network to compile")
        if stage == "fit":
            network.compile(mode=self.mode, dynamic=self.dynamic)
