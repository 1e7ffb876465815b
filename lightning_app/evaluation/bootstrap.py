"""Moving-block bootstrap: confidence interval for the ratio of a model's score to a baseline's."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

# With fewer blocks the resamples vary too little for an interval.
_MIN_BLOCKS = 4
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class ScoreRatio:
    """Ratio of a model's score to a baseline's, with a confidence interval.

    Attributes:
        ratio: Below 1 the model is better.
        low: Lower bound of the interval.
        high: Upper bound of the interval.
        confidence: Confidence of the interval.
        block: Origins per block.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    block: int

    @property
    def claims_skill(self) -> bool:
        """Whether the whole interval is below 1."""
        return self.high < 1

    def __str__(self) -> str:
        return f"{self.ratio:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap_ratio(
    model: np.ndarray,
    baseline: np.ndarray,
    *,
    block: int = 3,
    resamples: int = 2000,
    confidence: float = 0.95,
    over_series: Literal["sum", "geometric_mean"] = "sum",
    seed: int = 0,
) -> ScoreRatio:
    """Ratio of two summed scores with an interval from a moving-block bootstrap (Künsch, 1989).

    Targets of neighbouring origins overlap, so their scores are correlated; blocks of consecutive origins preserve that
    correlation. All series of an origin are resampled together, and sums are computed within each resample. The
    interval is the logarithm's standard error times Student's quantile with N / block - 1 degrees of freedom: with so
    few blocks, percentiles of the resamples would claim skill two to five times too often. Scores that are mostly zero
    (rare errors) sum to zero in some resamples, which then have no logarithm; the standard error is that of its linear
    approximation instead, and equal scores remain equal.

    Args:
        model: Score of each origin (N,), or of each origin and series (N, C); lower is better.
        baseline: Scores of the baseline, same shape.
        block: Origins per block; twice horizon / stride achieves the nominal confidence.
        resamples: Number of resamples.
        confidence: Confidence of the interval.
        over_series: `sum` is the ratio of the sums, dominated by large series; `geometric_mean` is the geometric mean
            of one ratio per series.
        seed: Random seed.

    Returns:
        The ratio. With fewer than four blocks the interval is 0 to infinity, i.e. no claim is possible.

    Raises:
        ValueError: Shapes differ, scores are not finite, or the baseline's sum is zero.
    """
    model, baseline = _scores(model, "model"), _scores(baseline, "baseline")
    if model.shape != baseline.shape:
        raise ValueError(f"baseline: shape {baseline.shape} given, {model.shape} of model is needed")
    if block < 1 or resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"block, resamples, confidence: {block}, {resamples}, {confidence} given; block and resamples must be "
            "1 or more, confidence between 0 and 1"
        )
    if over_series == "sum":
        model, baseline = model.sum(axis=1, keepdims=True), baseline.sum(axis=1, keepdims=True)
    if (baseline.sum(axis=0) <= 0).any():
        raise ValueError("baseline: its scores sum to zero, so there is no ratio; choose another baseline")
    ratio = float(_ratio(model.sum(axis=0), baseline.sum(axis=0)))
    num_origins = len(model)
    if num_origins < _MIN_BLOCKS * block:
        return ScoreRatio(ratio=ratio, low=0.0, high=float("inf"), confidence=confidence, block=block)
    rows = _moving_blocks(num_origins, block=block, resamples=resamples, seed=seed)  # (R, N)
    models, baselines = model[rows].sum(axis=1), baseline[rows].sum(axis=1)  # (R, C)
    if (models > 0).all() and (baselines > 0).all():
        logs = np.log(np.maximum(_ratio(models, baselines), _TINY))  # (R,)
    else:
        # Around the sums A and B of all origins, log(a / b) is a / A - b / B and a constant.
        relative = models / np.maximum(model.sum(axis=0), _TINY) - baselines / baseline.sum(axis=0)
        logs = relative.mean(axis=1)
    # Blocks start at N - block + 1 positions only, so resamples vary less than new data would.
    error = float(logs.std(ddof=1)) * math.sqrt(num_origins / (num_origins - block))
    spread = math.exp(min(error * _student_quantile((1 + confidence) / 2, freedom=num_origins / block - 1), 700.0))
    return ScoreRatio(ratio=ratio, low=ratio / spread, high=ratio * spread, confidence=confidence, block=block)


def _scores(scores: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{name}: shape {array.shape} given, (origins,) or (origins, series) is needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: scores must be finite; leave out windows that have none")
    return array.reshape(len(array), -1)


def _ratio(model: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Sums (..., C) to ratios (...)."""
    # Either sum may be zero in a resample; the floor keeps the logarithm finite.
    ratios = model / np.maximum(baseline, _TINY)
    return ratios[..., 0] if ratios.shape[-1] == 1 else np.exp(np.log(np.maximum(ratios, _TINY)).mean(axis=-1))


def _moving_blocks(num_origins: int, *, block: int, resamples: int, seed: int) -> np.ndarray:
    """Origins (R, N) of each resample: overlapping blocks, truncated to the number of origins."""
    rng = np.random.default_rng(seed)
    num_blocks = -(-num_origins // block)
    starts = rng.integers(num_origins - block + 1, size=(resamples, num_blocks, 1))
    return (starts + np.arange(block)).reshape(resamples, -1)[:, :num_origins]


def _student_quantile(probability: float, *, freedom: float) -> float:
    """Student's t from the normal quantile (Abramowitz & Stegun 26.7.5), within 1 % from 3 degrees of freedom."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
