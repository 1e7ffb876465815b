"""What the command line says of an optimisation."""

import argparse
import math
from dataclasses import dataclass

from lightning_app.errors import UsageError

KINDS = ("int8", "fp16", "pruned")
FROM_PACKAGE = ("int8", "fp16")
"""Kinds that need no checkpoint: they work on the ONNX file of a package."""


@dataclass(frozen=True)
class OptimizeOptions:
    """An optimisation, and what it may cost.

    Attributes:
        kind: One of `KINDS`.
        parent: Folder of the package to start from; None exports one first.
        max_worse: Largest upper end of the interval of (error / parent's error - 1).
        allow_slower: Write a package that takes longer than its parent, too.
        prune_share: Share of the hidden features and heads to take out.
        recovery_epochs: Epochs of training after pruning.
    """

    kind: str
    parent: str | None = None
    max_worse: float = 0.01
    allow_slower: bool = False
    prune_share: float = 0.5
    recovery_epochs: int = 3

    def __post_init__(self) -> None:
        if self.parent is not None and self.kind not in KINDS:
            raise UsageError(f"optimize-from: {self.parent!r} given without --optimize {'|'.join(KINDS)}")
        if self.kind not in KINDS:
            raise UsageError(f"optimize: {self.kind!r} given, allowed: {', '.join(KINDS)}")
        if math.isnan(self.max_worse) or self.max_worse < 0:
            raise UsageError(f"max-worse: {self.max_worse} given, a share from 0 is needed, such as 0.01 for 1 %")
        if not 0 < self.prune_share < 1:
            raise UsageError(f"prune-share: {self.prune_share} given, a share between 0 and 1 is needed")
        if self.recovery_epochs < 1:
            raise UsageError(f"recovery-epochs: {self.recovery_epochs} given, 1 or more are needed")


def add_optimize_options(parser: argparse.ArgumentParser) -> None:
    """Adds them to a command line.

    Args:
        parser: Of the verb `export`.
    """
    group = parser.add_argument_group("optimisation: a smaller or faster package, measured against its parent")
    group.add_argument(
        "--optimize", choices=KINDS, help="8-bit weights, 16-bit weights, or fewer hidden features and heads"
    )
    group.add_argument(
        "--optimize-from",
        metavar="PACKAGE",
        help="the package to start from; int8 and fp16 then need no checkpoint, but the data of the package's config",
    )
    group.add_argument(
        "--max-worse", type=float, default=0.01, help="share by which the test error may be larger, upper end; 0.01"
    )
    group.add_argument("--allow-slower", action="store_true", help="also write a package that is slower than before")
    group.add_argument("--prune-share", type=float, default=0.5, help="pruned: share that is taken out; 0.5")
    group.add_argument("--recovery-epochs", type=int, default=3, help="pruned: epochs of training afterwards; 3")


def read_optimize_options(given: argparse.Namespace) -> OptimizeOptions | None:
    """What was said, or None where no optimisation was asked for.

    Args:
        given: The parsed command line.

    Raises:
        UsageError: A value is out of its range.
    """
    if given.optimize is None and given.optimize_from is None:
        return None
    return OptimizeOptions(
        kind=given.optimize or "",
        parent=given.optimize_from,
        max_worse=given.max_worse,
        allow_slower=given.allow_slower,
        prune_share=given.prune_share,
        recovery_epochs=given.recovery_epochs,
    )
