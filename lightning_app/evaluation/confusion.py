"""Confusion matrix of a test: a table and a picture."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from models import StepOutput

_MOST_CLASSES = 30
_MOST_PAIRS = 10


class ConfusionMatrix(Callback):
    """Writes `confusion.md` and `confusion.png` to the run folder after a test with one class per row."""

    def __init__(self) -> None:
        self._counts: Tensor | None = None

    @override
    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._counts = None

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        num_classes = getattr(pl_module, "num_classes", 0)
        step = outputs.get("step") if isinstance(outputs, dict) else None
        if not isinstance(step, StepOutput) or not isinstance(num_classes, int) or num_classes < 2:
            return
        logits, targets = step.predictions, step.targets
        if targets.is_floating_point() or logits.shape != (len(targets), num_classes):
            return
        decide = getattr(pl_module, "decide", None)  # at a decision threshold
        answered = logits.argmax(dim=-1) if decide is None else decide(logits)
        cells = targets * num_classes + answered
        counts = torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)
        self._counts = counts if self._counts is None else self._counts + counts

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = Path(trainer.default_root_dir)
        if trainer.is_global_zero:
            for name in ("confusion.md", "confusion.png"):
                (folder / name).unlink(missing_ok=True)  # left by an earlier test
        gathered = [self._counts]
        if trainer.world_size > 1:
            gathered *= trainer.world_size
            torch.distributed.all_gather_object(gathered, None if self._counts is None else self._counts.cpu())
        counts = [one for one in gathered if one is not None]  # a process may have had no batch
        if not counts or not trainer.is_global_zero:
            return
        names = getattr(getattr(trainer, "datamodule", None), "class_names", None)
        table = torch.stack(counts).sum(dim=0).cpu().numpy().astype(np.int64)
        texts = [str(name) for name in names or range(len(table))]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "confusion.md").write_text("\n".join(_page(table, texts)) + "\n")
        if len(table) <= _MOST_CLASSES:
            draw_confusion(table, texts, folder / "confusion.png")


def _page(table: np.ndarray, names: list[str]) -> list[str]:
    """Recall and precision of each class, and the most frequent confusions."""
    right, truth, predicted = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    lines = [
        "# Classes",
        "",
        "| class | in the test | recall | precision |",
        "|---|---:|---:|---:|",
    ]
    for index, name in enumerate(names):
        recall = f"{right[index] / truth[index]:.1%}" if truth[index] else "-"
        precision = f"{right[index] / predicted[index]:.1%}" if predicted[index] else "-"
        lines.append(f"| {name} | {truth[index]:,} | {recall} | {precision} |")
    wrong = table - np.diag(right)
    order = [cell for cell in np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS] if wrong.flat[cell]]
    if order:
        lines += ["", "| true class | taken for | times |", "|---|---|---:|"]
    for cell in order:
        row, column = divmod(int(cell), len(names))
        lines.append(f"| {names[row]} | {names[column]} | {wrong[row, column]:,} |")
    return [*lines, ""]


def draw_confusion(table: np.ndarray, names: list[str], path: Path) -> None:
    """Draws a confusion matrix: recall as colour, counts as numbers.

    Args:
        table: Rows are true classes, columns predicted ones, int64 (C, C).
        names: Class names.
        path: Output PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fractions = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.42 * len(names)
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    image = axis.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    short = [name if len(name) <= 18 else f"{name[:17]}…" for name in names]
    rotation = 0 if max(map(len, short)) <= 3 else 90
    axis.set_xticks(range(len(names)), short, rotation=rotation, fontsize=8)
    axis.set_yticks(range(len(names)), short, fontsize=8)
    for row in range(len(names)):
        for column in range(len(names)):
            if table[row, column]:
                color = "white" if fractions[row, column] > 0.55 else "black"
                axis.text(column, row, f"{table[row, column]:,}", ha="center", va="center", color=color, fontsize=7)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    figure.savefig(path, dpi=110)
