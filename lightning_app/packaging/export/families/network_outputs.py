"""NetworkOutputs: what a network on texts gives for rows of the test split, each row computed once."""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from torch import Tensor

from datamodules.text.batches import SortedBatches

_AT_ONCE = 1024
"""Neighbouring rows that are sorted by length together: between them progress is shown."""
_BATCH_SIZE = 64
_MAX_TOKENS = 2048
"""Of a batch, padding included; larger ones are slower, their numbers leave the caches of a core."""


class _Rows(Protocol):
    @property
    def num_tokens(self) -> np.ndarray: ...


class NetworkOutputs:
    """Outputs of a network on texts by row, computed when they are first asked for, with texts of about their length.

    The export asks for rows of the test split several times: one after another, for the reference sample, and for raw
    rows. The outputs of a row do not depend on the rows beside it, beyond rounding.

    Args:
        ask: Positions of rows, int64 (B,) -> a tensor of outputs for each of them.
        rows: The test split, with `num_tokens` of each row, int64 (N,).
    """

    def __init__(self, ask: Callable[[np.ndarray], Iterable[Tensor]], rows: _Rows) -> None:
        self._ask = ask
        self._lengths = rows.num_tokens
        self._outputs: dict[int, Tensor] = {}

    def at(self, positions: np.ndarray) -> list[Tensor]:
        """Outputs of some rows, a tensor each.

        Args:
            positions: In the test split, int64 (B,).
        """
        unknown = [position for position in positions.tolist() if position not in self._outputs]
        for part in sorted({position // _AT_ONCE for position in unknown}):
            self._compute(np.arange(part * _AT_ONCE, min((part + 1) * _AT_ONCE, len(self._lengths))))
        return [self._outputs[position] for position in positions.tolist()]

    def _compute(self, positions: np.ndarray) -> None:
        lengths = self._lengths[positions]
        budget = max(_MAX_TOKENS, int(lengths.max()))
        for batch in SortedBatches(lengths=lengths, max_tokens=budget, batch_size=_BATCH_SIZE, rank=0, world_size=1):
            chosen = positions[batch]
            self._outputs.update(zip(chosen.tolist(), self._ask(chosen), strict=True))
