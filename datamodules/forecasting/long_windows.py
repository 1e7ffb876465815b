"""LongWindows: windows of many series that lie one after the other, each in units of its series."""

import numpy as np
import torch
from torch import Tensor

from features.series.scales import scale_of


class SeriesScales:
    """Mean and standard deviation by window: of the training rows of its series, else of its look-back.

    Args:
        mean: By series, float64 (S,); NaN for a series without training rows.
        std: By series, float64 (S,).
        values: All series one after the other, raw units, float64 (T,).
        observed: bool (T,).
        look_back: Rows before a forecast origin.
    """

    def __init__(
        self, mean: np.ndarray, std: np.ndarray, *, values: np.ndarray, observed: np.ndarray, look_back: int
    ) -> None:
        self.mean = mean
        self.std = std
        self._values = values
        self._observed = observed
        self._look_back = look_back

    def at(self, origins: np.ndarray, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scales of windows.

        Args:
            origins: Rows of the first forecast steps, int64 (B,).
            series: Number of the series of each, int64 (B,).

        Returns:
            mean: float64 (B,).
            std: float64 (B,).
        """
        mean, std = self.mean[series], self.std[series]
        for index in np.flatnonzero(np.isnan(mean)):
            rows = slice(int(origins[index]) - self._look_back, int(origins[index]))
            scale = scale_of(self._values[rows], self._observed[rows])
            mean[index], std[index] = scale.mean, scale.std
        return mean, std


class LongWindows:
    """Windows of many series; batches are those of `Windows`, with one channel, in standard units of the series.

    Args:
        values: Targets of all series one after the other, raw units, float64 (T,).
        observed: bool (T,).
        past_covariates: float64 (T, P).
        future_covariates: float64 (T, K).
        static_covariates: By series, float64 (S, A).
        series: Number of the series of each row, int64 (T,).
        scales: Scales of the windows.
        origins: Rows of the first forecast steps, int64 (N,).
        look_back: Rows before the forecast origin.
        horizon: Rows to forecast.
        masked: Add masks of the observed values.
        future_known: Whether the targets of the horizon exist.
    """

    def __init__(
        self,
        *,
        values: np.ndarray,
        observed: np.ndarray,
        past_covariates: np.ndarray,
        future_covariates: np.ndarray,
        static_covariates: np.ndarray,
        series: np.ndarray,
        scales: SeriesScales,
        origins: np.ndarray,
        look_back: int,
        horizon: int,
        masked: bool,
        future_known: bool,
    ) -> None:
        self.origins = origins
        self.look_back = look_back
        self._values = values
        self._observed = observed if masked else None
        self._covariates = {
            name: (table.astype(np.float32), steps)
            for name, table, steps in (
                ("past_covariates", past_covariates, np.arange(-look_back, 0)),
                ("future_covariates", future_covariates, np.arange(-look_back, horizon)),
            )
            if table.shape[1]
        }
        self._static = static_covariates.astype(np.float32)
        self._series = series
        self._scales = scales
        self._steps = np.arange(-look_back, horizon if future_known else 0)

    def __len__(self) -> int:
        return len(self.origins)

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        origins = self.origins[np.asarray(indices)]
        series = self._series[origins - 1]
        mean, std = self._scales.at(origins, series)
        rows = origins[:, None] + self._steps
        standard = ((self._values[rows] - mean[:, None]) / std[:, None]).astype(np.float32)
        batch = self._split("", standard)
        if self._observed is not None:
            batch |= self._split("_mask", self._observed[rows])
        for name, (table, steps) in self._covariates.items():
            batch[name] = torch.from_numpy(table[origins[:, None] + steps])
        if self._static.shape[1]:
            batch["static_covariates"] = torch.from_numpy(self._static[series][:, None])
        batch["origin"] = torch.from_numpy(origins)
        return batch

    def _split(self, suffix: str, windows: np.ndarray) -> dict[str, Tensor]:
        whole = torch.from_numpy(windows).unsqueeze(-1)
        parts = {f"past{suffix}": whole[:, : self.look_back]}
        if windows.shape[1] > self.look_back:
            parts[f"future{suffix}"] = whole[:, self.look_back :]
        return parts
