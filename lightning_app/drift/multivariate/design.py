"""PermutationDesign: rows of two samples, the blocks that are exchanged, and their labels in each permutation."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ROWS = 2000
"""Most rows of each sample."""
LEAST_ROWS = 50
LEAST_BLOCKS = 15
PERMUTATIONS = 499
_BLOCK = 4.0
"""Length of a block in autocorrelation times."""
_INDEPENDENT = 1.2
"""Design effect up to which rows are exchanged one by one."""


class PermutationDesign(NamedTuple):
    """Which rows are compared, and how they are exchanged.

    Rows of both samples are numbered through, those of the reference first. A block is one row, or a few rows in
    succession of one sample where rows depend on those before them. Where nothing has drifted, blocks are
    exchangeable: any statistic of the pooled rows and the labels, compared with its values under permuted labels,
    gives an exact p-value.

    Attributes:
        reference: Places of the rows in the sample of the reference.
        current: Places of the rows in the window.
        block: Block of each pooled row, (N,).
        labels: Whether each block belongs to the window: as it is, then permuted, (1 + permutations, blocks).
        block_rows: Rows of a block of the reference, and of the window.
    """

    reference: npt.NDArray[np.intp]
    current: npt.NDArray[np.intp]
    block: npt.NDArray[np.intp]
    labels: npt.NDArray[np.bool_]
    block_rows: tuple[int, int]

    @property
    def row_labels(self) -> npt.NDArray[np.bool_]:
        """Whether each pooled row belongs to the window, (1 + permutations, N)."""
        return self.labels[:, self.block]

    @property
    def weights(self) -> Array:
        """Weight of each pooled row: one over the rows of its block, (N,)."""
        found: Array = 1 / np.bincount(self.block)[self.block]
        return found

    def p_value(self, statistics: Array) -> float:
        """Share of the permutations whose statistic is at least that of the labels as they are.

        Args:
            statistics: Statistic under each row of `labels`.
        """
        return float(np.mean(statistics >= statistics[0]))


def permutation_design(
    reference_rows: int, current_rows: int, *, reference_effect: float, current_effect: float, seed: int
) -> PermutationDesign | str:
    """Chooses rows and blocks.

    Args:
        reference_rows: Rows of the sample of the reference, in time order.
        current_rows: Rows of the window, in time order.
        reference_effect: Variance of a mean over rows of the sample over that of independent rows, at least 1.
        current_effect: The same of the window.
        seed: Of the choice and the permutations.

    Returns:
        The design, or what is missing for one.
    """
    random = np.random.default_rng(seed)
    samples = (("the reference", reference_rows, reference_effect), ("the window", current_rows, current_effect))
    dependent = max(reference_effect, current_effect) >= _INDEPENDENT
    chosen, blocks, block_rows = [], [], []
    for name, rows, effect in samples:
        size = int(np.ceil(_BLOCK * thinned_effect(effect, rows))) if dependent else 1
        if rows < LEAST_ROWS or min(rows, ROWS) // size < LEAST_BLOCKS:
            needed = max(LEAST_ROWS, int(np.ceil(1.1 * LEAST_BLOCKS * _BLOCK * effect)) if dependent else 0)
            reason = ", because rows depend on those before them" if needed > LEAST_ROWS else ""
            return f"{name} has {rows:,} rows to compare, tests of columns together need {needed:,}{reason}"
        places = np.sort(random.choice(rows, min(rows, ROWS), replace=False))
        whole = len(places) // size * size
        chosen.append(places[:whole])
        blocks.append(np.arange(whole) // size)
        block_rows.append(size)
    num_reference = int(blocks[0][-1]) + 1
    num_blocks = num_reference + int(blocks[1][-1]) + 1
    labels = np.zeros((1 + PERMUTATIONS, num_blocks), np.bool_)
    labels[:, num_reference:] = True
    labels[1:] = random.permuted(labels[1:], axis=1)
    return PermutationDesign(
        reference=chosen[0], current=chosen[1], block=np.concatenate((blocks[0], num_reference + blocks[1])),
        labels=labels, block_rows=(block_rows[0], block_rows[1]),
    )  # fmt: skip


def thinned_effect(effect: float, rows: int) -> float:
    """Design effect that is left where rows are chosen at random.

    Args:
        effect: Design effect of all rows.
        rows: How many there are, of which at most `ROWS` are chosen.
    """
    return 1 + (effect - 1) * min(1.0, ROWS / rows)
