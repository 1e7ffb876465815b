"""PanelStream: steps of many tickers, each with the values that follow it."""

import numpy as np
import torch
from torch import Tensor

from datamodules.streams.lanes import Chunk


class PanelStream:
    """Concatenated steps of many tickers, each with the values that follow it.

    Args:
        values: Raw values of all tickers (T,).
        documents: First and end row of each ticker's streamed part, int64 (D, 2).
        origins: True at forecast origins, bool (T,).
        days: Index of each row's day in the calendar of all tickers, int64 (T,).
        horizon: Number of following values, H; arbitrary beyond the end of a ticker.
    """

    def __init__(
        self, *, values: np.ndarray, documents: np.ndarray, origins: np.ndarray, days: np.ndarray, horizon: int
    ) -> None:
        self.values = torch.from_numpy(values).float()
        self.documents = documents
        self.origins = torch.from_numpy(origins)
        self.days = torch.from_numpy(days)
        self.steps = torch.arange(1, horizon + 1)

    def __getitems__(self, chunk: Chunk) -> dict[str, Tensor]:
        rows = torch.from_numpy(chunk.rows)
        following = (rows.unsqueeze(-1) + self.steps).clamp_max(len(self.values) - 1)
        return {
            "values": self.values[rows],
            "future": self.values[following],
            "row": rows,
            "day": self.days[rows],
            "valid": torch.from_numpy(chunk.read & chunk.newest) & self.origins[rows],
            "reset": torch.from_numpy(chunk.reset),
        }
