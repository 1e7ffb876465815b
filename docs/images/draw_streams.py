"""Draws `streams.png`: how documents lie on lanes. Run it from the project's folder after a change."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from datamodules.streams.lanes import LaneBatches

LENGTHS = [13, 5, 9, 7, 4, 10]
CHUNK, WINDOW, LANES = 4, 6, 3


def main() -> None:
    """Writes the picture beside this file."""
    ends = np.cumsum(LENGTHS)
    figure, axes = plt.subplots(1, 2, figsize=(12, 3.2), layout="constrained")
    for axis, arrangement in zip(axes, ("packed", "aligned"), strict=True):
        batches = LaneBatches(
            documents=np.stack([ends - LENGTHS, ends], axis=1), num_lanes=LANES, chunk_size=CHUNK, window=WINDOW,
            arrangement=arrangement, seed=None, rank=0, world_size=1, position=lambda: (0, 0),
        )  # fmt: skip
        chunks = list(batches)
        rows, read, reset = (
            np.concatenate([getattr(chunk, name)[:, -CHUNK:] for chunk in chunks], axis=1)
            for name in ("rows", "read", "reset")
        )
        for lane in range(LANES):
            for step in range(rows.shape[1]):
                document = int(np.searchsorted(ends, rows[lane, step], side="right"))
                color = plt.get_cmap("tab10")(document) if read[lane, step] else "white"
                axis.add_patch(Rectangle((step, LANES - 1 - lane + 0.12), 1, 0.76, facecolor=color, edgecolor="white"))
                if read[lane, step]:
                    first = reset[lane, step]
                    axis.text(
                        step + 0.5, LANES - 0.5 - lane, "r" if first else "", ha="center", va="center", color="white",
                        fontweight="bold",
                    )  # fmt: skip
                else:
                    axis.text(step + 0.5, LANES - 0.5 - lane, "·", ha="center", va="center", color="0.6")
        for index in range(len(chunks) + 1):
            axis.axvline(index * CHUNK, color="black", linewidth=1)
        start = 2 * CHUNK - (WINDOW - CHUNK)
        axis.add_patch(Rectangle((start, -0.02), WINDOW, LANES + 0.04, fill=False, edgecolor="tab:red", linewidth=2))
        axis.text(start + WINDOW / 2, -0.28, "window of batch 3", ha="center", va="center", color="tab:red", fontsize=9)
        axis.set_xlim(-0.3, rows.shape[1] + 0.3)
        axis.set_ylim(-0.5, LANES + 0.1)
        axis.set_yticks([LANES - 0.5 - lane for lane in range(LANES)], [f"lane {lane}" for lane in range(LANES)])
        axis.set_xticks([(index + 0.5) * CHUNK for index in range(len(chunks))],
                        [f"batch {index + 1}" for index in range(len(chunks))])  # fmt: skip
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(f"arrangement: {arrangement}", fontsize=11)
    figure.savefig(Path(__file__).with_name("streams.png"), dpi=110)


if __name__ == "__main__":
    main()
