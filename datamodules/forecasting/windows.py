"""Windows of a series, gathered a batch at a time from start indices."""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from datamodules.forecasting.series import Series


class Windows:
    """All windows of a series whose first forecast row is in a range.

    The series is stored once, channels first; batches are gathered from a strided view of it, without a loop over
    samples and without materialising the windows.

    Args:
        series: The series.
        look_back: Rows before the forecast origin.
        horizon: Rows to forecast; with `future_known` False, batches have no rows after the origin.
        origins: First forecast row of the first window, and one past that of the last window.
        masked: Add masks of the observed values.
        future_known: Whether the targets of the horizon exist (False beyond the end of the series).

    Batches:
        past: float32 (B, L, C), raw units.
        future: float32 (B, H, C), raw units; absent if not `future_known`.
        past_mask, future_mask: bool of the same shapes, True where observed; absent unless `masked`.
        past_covariates: float32 (B, L, P); absent if the series has none.
        future_covariates: float32 (B, L + H, K), look-back first; absent if the series has none.
        static_covariates: float32 (B, C, S); absent if the series has none.
        origin: int64 (B,), row of the first forecast step.
    """

    def __init__(
        self,
        series: Series,
        *,
        look_back: int,
        horizon: int,
        origins: tuple[int, int],
        masked: bool,
        future_known: bool = True,
    ) -> None:
        self.look_back = look_back
        self.origins = origins
        target_width = look_back + horizon if future_known else look_back
        self._target = _windows(series.values, target_width)
        self._mask = _windows(series.observed, target_width) if masked else None
        self._covariates = {
            name: _windows(table, width)
            for name, table, width in (
                ("past_covariates", series.past_covariates, look_back),
                ("future_covariates", series.future_covariates, look_back + horizon),
            )
            if table.shape[1]
        }
        self._static = torch.from_numpy(series.static_covariates.astype(np.float32))

    def __len__(self) -> int:
        return max(0, self.origins[1] - self.origins[0])

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        origins = np.asarray(indices) + self.origins[0]
        starts = origins - self.look_back
        batch = self._split("", _gather(self._target, starts))
        if self._mask is not None:
            batch |= self._split("_mask", _gather(self._mask, starts))
        batch |= {name: _gather(windows, starts) for name, windows in self._covariates.items()}
        if self._static.shape[1]:
            batch["static_covariates"] = self._static.expand(len(starts), -1, -1)
        batch["origin"] = torch.from_numpy(origins)
        return batch

    def _split(self, suffix: str, windows_BWC: Tensor) -> dict[str, Tensor]:  # noqa: N803
        parts = {f"past{suffix}": windows_BWC[:, : self.look_back]}
        if windows_BWC.shape[1] > self.look_back:
            parts[f"future{suffix}"] = windows_BWC[:, self.look_back :]
        return parts


def _windows(table: np.ndarray, width: int) -> np.ndarray:
    """A view (N, C, width) of a table (T, C): all windows, without copies."""
    channels_first = np.ascontiguousarray(table.T, dtype=bool if table.dtype == bool else np.float32)
    return sliding_window_view(channels_first, width, axis=1).transpose(1, 0, 2)


def _gather(windows: np.ndarray, starts: np.ndarray) -> Tensor:
    # (B, C, W) in memory: the time axis stays contiguous for networks that process channels separately.
    return torch.from_numpy(windows[starts]).transpose(1, 2)
