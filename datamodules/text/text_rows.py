"""TextRows: dataset of rows with a text, as padded token ids beside their other features."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datamodules.tabular.feature_rows import FeatureRows
from features.text.token_rows import TokenRows


@dataclass(frozen=True)
class TextRows:
    """Dataset of some rows of a table with a text.

    Attributes:
        features: The rows without their texts.
        tokens: Texts of all rows of the table.
        pad_token_id: Id that fills shorter texts of a batch.
    """

    features: FeatureRows
    tokens: TokenRows
    pad_token_id: int

    def __len__(self) -> int:
        return len(self.features)

    @property
    def positions(self) -> np.ndarray:
        """The rows, int64."""
        return self.features.positions

    @property
    def num_tokens(self) -> np.ndarray:
        """Tokens of each row, int64 (N,)."""
        return self.tokens.lengths[self.positions]

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Gathers the batch of an array of indices into `positions`, padded to its longest text."""
        rows = self.features.positions[indices]
        return {**self.features.__getitems__(indices), **token_batch(self.tokens, rows, self.pad_token_id)}


def token_batch(tokens: TokenRows, rows: np.ndarray, pad_token_id: int) -> dict[str, Tensor]:
    """`token_ids` and `attention_mask` (1 token, 0 padding) of some texts, both int64 (B, L).

    Args:
        tokens: Texts.
        rows: Numbers of the texts, int64 (B,).
        pad_token_id: Id behind the end of shorter texts.
    """
    starts = tokens.starts[rows]
    lengths = tokens.starts[rows + 1] - starts
    mask = np.arange(lengths.max(initial=1)) < lengths[:, None]
    token_ids = np.full(mask.shape, pad_token_id, dtype=np.int64)
    inside = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    token_ids[mask] = tokens.ids[np.repeat(starts, lengths) + inside]
    return {"token_ids": torch.from_numpy(token_ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
