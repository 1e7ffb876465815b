"""RollingForecasts: forecasts of a rolling-origin evaluation with the observed targets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lightning_app.evaluation.bootstrap import bootstrap_ratio
from lightning_app.evaluation.trajectories.conformal import rolling_conformal
from lightning_app.evaluation.trajectories.paths import rolling_simultaneous_band
from lightning_app.evaluation.trajectories.probabilistic import (
    absolute_scaled_errors,
    central_interval,
    interval_coverage,
    interval_width,
    mean_absolute_scaled_error,
    path_coverage,
    quantile_loss_sums,
    weighted_quantile_loss,
)
from lightning_app.evaluation.trajectories.summary import NOMINAL, Scores, Summary
from lightning_app.evaluation.trajectories.units import Units, from_units, to_units


@dataclass(frozen=True, eq=False)
class RollingForecasts:
    """Forecasts of N origins and C series over H steps at Q levels.

    Attributes:
        name: Name of the forecaster.
        origins: (N,), last row known to each forecast.
        forecasts: (N, C, H, Q).
        actuals: (N, C, H).
        scale: (N, C), mean absolute one-season change in the window that ends at the origin.
        levels: (Q,).
        fit_ends: (N,), one past the last training row of each forecast.
        stride: Rows between origins.
        embargo: Rows between the training rows of a fit and its first origin.
        refit_every: Rows between fits; None for a single fit.
        remarks: Post-processing of the forecasts, for the report.
    """

    name: str
    origins: np.ndarray
    forecasts: np.ndarray
    actuals: np.ndarray
    scale: np.ndarray
    levels: tuple[float, ...]
    fit_ends: np.ndarray
    stride: int
    embargo: int
    refit_every: int | None
    remarks: tuple[str, ...] = ()

    @property
    def horizon(self) -> int:
        """Steps H."""
        return self.actuals.shape[2]

    def calibrated(
        self,
        *,
        units: Units = "level",
        neighbours: int = 5,
        window: int | None = None,
        min_scores: int = 30,
        gamma: float = 0.0,
    ) -> "RollingForecasts":
        """Applies rolling conformal calibration, which uses only what was known at each origin.

        Args:
            units: `log_return` calibrates logarithms, so that no price falls below zero.
            neighbours: Number of steps on either side to pool with.
            window: Number of most recent origins to use; None for all.
            min_scores: Minimum number of observed scores; forecasts are unchanged before.
            gamma: Step size of adaptive conformal inference; 0 for none.
        """
        forecasts = rolling_conformal(
            to_units(self.forecasts, units=units),
            to_units(self.actuals, units=units),
            origins=self.origins,
            levels=self.levels,
            neighbours=neighbours,
            window=window,
            min_scores=min_scores,
            gamma=gamma,
        )
        method = f"adaptive, step {gamma}" if gamma else "not adaptive"
        return replace(
            self,
            name=f"{self.name}, calibrated",
            forecasts=from_units(forecasts, units=units),
            remarks=(*self.remarks, f"intervals of {self.name} calibrated on observed targets ({method})"),
        )

    def summary(
        self,
        baseline: "RollingForecasts",
        *,
        horizons: Sequence[int] | None = None,
        block: int | None = None,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> Summary:
        """Compares the scores with a baseline's, with an interval for each ratio.

        Args:
            baseline: Forecasts of the same origins.
            horizons: Steps, from 1, for coverage and width; None for 1, 21, 63 and the last.
            block: Origins per block of the bootstrap; None for three, or twice the number of overlapping ones.
            confidence: Confidence of the intervals.
            seed: Random seed of the bootstrap.

        Raises:
            ValueError: The baseline has other origins or targets, or a step is outside the horizon.
        """
        if not (np.array_equal(self.origins, baseline.origins) and np.array_equal(self.actuals, baseline.actuals)):
            raise ValueError(
                f"baseline: {baseline.name} was evaluated on other origins or targets than {self.name}; "
                "evaluate both with the same values, start, stride and horizon"
            )
        last = self.horizon
        steps = sorted({step for step in (1, 21, 63) if step < last} | {last}) if horizons is None else list(horizons)
        if not steps or min(steps) < 1 or max(steps) > last:
            raise ValueError(f"horizons: {steps} given, allowed are steps from 1 to {last}")
        overlap = -(-last // self.stride)
        compare = partial(
            bootstrap_ratio, block=max(3, 2 * overlap) if block is None else block, confidence=confidence, seed=seed
        )
        losses = (self._quantile_losses(), baseline._quantile_losses())
        several = self.actuals.shape[1] > 1
        return Summary(
            model=self._scores(steps),
            baseline=baseline._scores(steps),
            wql_ratio=compare(*losses),
            wql_ratio_by_series=compare(*losses, over_series="geometric_mean") if several else None,
            mase_ratio=compare(self._scaled_errors(), baseline._scaled_errors()),
            protocol=self._protocol(baseline),
        )

    def _quantile_losses(self) -> np.ndarray:
        return quantile_loss_sums(self.forecasts, self.actuals, levels=self.levels)  # (N, C)

    def _scaled_errors(self) -> np.ndarray:
        errors = absolute_scaled_errors(self.forecasts, self.actuals, levels=self.levels, scale=self.scale)
        return np.nansum(errors, axis=-1)  # (N, C)

    def _scores(self, steps: Sequence[int]) -> Scores:
        at = np.asarray(steps) - 1
        pair = (self.forecasts, self.actuals)
        coverage, width, pointwise = {}, {}, {}
        for nominal in NOMINAL:
            covered = interval_coverage(*pair, levels=self.levels, nominal=nominal)[at]
            wide = interval_width(self.forecasts, levels=self.levels, nominal=nominal)[at]
            coverage[nominal] = {step: float(fraction) for step, fraction in zip(steps, covered, strict=True)}
            width[nominal] = {step: float(size) for step, size in zip(steps, wide, strict=True)}
            band = central_interval(self.forecasts, levels=self.levels, nominal=nominal)
            pointwise[nominal] = path_coverage(*band, self.actuals)
        lower, upper = rolling_simultaneous_band(*pair, origins=self.origins, levels=self.levels, coverage=0.8)
        return Scores(
            name=self.name,
            wql=weighted_quantile_loss(*pair, levels=self.levels),
            mase=mean_absolute_scaled_error(*pair, levels=self.levels, scale=self.scale),
            coverage=coverage,
            width=width,
            path_coverage=pointwise,
            simultaneous_coverage=path_coverage(lower, upper, self.actuals, mask=~np.isnan(lower)),
        )

    def _protocol(self, baseline: "RollingForecasts") -> tuple[str, ...]:
        still = int((self.scale == 0).sum())
        return (
            f"{len(self.origins)} origins, rows {self.origins[0]} to {self.origins[-1]}, {self.stride} apart; "
            f"{self.actuals.shape[1]} series, {self.horizon} steps",
            *(forecasts._fits() for forecasts in (self, baseline)),
            *self.remarks,
            *baseline.remarks,
            *([f"MASE leaves out {still} windows whose series stood still before the origin"] if still else []),
        )

    def _fits(self) -> str:
        ends = np.unique(self.fit_ends)
        if self.refit_every is None:
            fits = f"fitted once, on the rows before {ends[0]}, and never again"
        else:
            times = f"{len(ends)} times, first on the rows before {ends[0]}"
            fits = f"fitted anew every {self.refit_every} rows; in this table {times}"
        return f"{self.name}: {fits}; embargo of {self.embargo} rows before the first origin of each fit"
