"""Column gain: how much the splits on each column lowered the training loss of boosted trees."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

_MOST_COLUMNS = 30


class ColumnGain(Callback):
    """Writes `gain.md` to the run folder after a test of trees."""

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        gain = getattr(getattr(pl_module, "network", None), "gain", None)
        names = getattr(pl_module, "column_names", None)
        if gain is None or names is None or not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gain.md").write_text(gain_page(gain.cpu().numpy(), names()))


def gain_page(gain: np.ndarray, names: Sequence[str]) -> str:
    """A page of the columns by their share in the gain.

    Args:
        gain: Decrease of the training loss by the splits on each column, (columns,).
        names: Of the columns.
    """
    share = gain / max(float(gain.sum()), 1e-12)
    order = np.argsort(-share, kind="stable")
    lines = [
        "# Gain by column",
        "",
        "Share of the decrease of the training loss by the splits on a column. It counts what training used, not what "
        "the model needs: the card of a package has the loss of skill when a column is shuffled on test rows.",
        "",
        "| column | share of the gain |",
        "|---|---:|",
        *(f"| {names[place]} | {share[place]:.1%} |" for place in order[:_MOST_COLUMNS].tolist()),
    ]
    if len(order) > _MOST_COLUMNS:
        rest = order[_MOST_COLUMNS:]
        lines.append(f"| {len(rest):,} others | {share[rest].sum():.1%} |")
    return "\n".join([*lines, ""])
