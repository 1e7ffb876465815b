"""Summary page of a forecaster's scores against a baseline, with intervals and a verdict on skill."""

import math
from dataclasses import dataclass

from lightning_app.evaluation.bootstrap import ScoreRatio

NOMINAL = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Scores:
    """Scores of one forecaster.

    Attributes:
        name: Name of the forecaster.
        wql: Weighted quantile loss over nine levels.
        mase: Mean absolute scaled error of the median.
        coverage: Fraction of targets inside the interval, by nominal coverage and step.
        width: Mean width of the interval in the units of the series, by nominal coverage and step.
        path_coverage: Fraction of whole paths inside the pointwise band, by nominal coverage.
        simultaneous_coverage: Fraction of whole paths inside the 80 % simultaneous band; NaN if there were too few
            windows to calibrate it.
    """

    name: str
    wql: float
    mase: float
    coverage: dict[float, dict[int, float]]
    width: dict[float, dict[int, float]]
    path_coverage: dict[float, float]
    simultaneous_coverage: float


@dataclass(frozen=True)
class Summary:
    """Comparison of a model with a baseline.

    Attributes:
        model: Scores of the model.
        baseline: Scores of the baseline.
        wql_ratio: Ratio of the WQL, all series together.
        wql_ratio_by_series: Geometric mean of the series' ratios; None for one series.
        mase_ratio: Ratio of the MASE.
        protocol: How the forecasts were made, in sentences.
    """

    model: Scores
    baseline: Scores
    wql_ratio: ScoreRatio
    wql_ratio_by_series: ScoreRatio | None
    mase_ratio: ScoreRatio
    protocol: tuple[str, ...]

    @property
    def claims_skill(self) -> bool:
        """Whether the WQL is significantly lower than the baseline's."""
        return self.wql_ratio.claims_skill

    def to_markdown(self) -> str:
        """The page: verdict, scores, intervals, protocol."""
        model, baseline = self.model, self.baseline
        percent = f"{self.wql_ratio.confidence:.0%}"
        by_series = self.wql_ratio_by_series
        lines = [
            f"# {model.name} against {baseline.name}",
            "",
            *(_verdict(name, ratio, baseline.name) for name, ratio in self._ratios()),
            "",
            f"| score | {model.name} | {baseline.name} | ratio ({percent} interval) |",
            "|---|---:|---:|---:|",
            f"| WQL | {model.wql:.5f} | {baseline.wql:.5f} | {self.wql_ratio} |",
            *([] if by_series is None else [f"| WQL, mean of series | | | {by_series} |"]),
            f"| MASE | {model.mase:.3f} | {baseline.mase:.3f} | {self.mase_ratio} |",
            "",
            "## Intervals",
            "",
            f"| interval | step | coverage | {baseline.name} | width | {baseline.name} |",
            "|---|---:|---:|---:|---:|---:|",
            *(
                f"| {nominal:.0%} | {step} | {share:.3f} | {baseline.coverage[nominal][step]:.3f} "
                f"| {model.width[nominal][step]:.4g} | {baseline.width[nominal][step]:.4g} |"
                for nominal, shares in model.coverage.items()
                for step, share in shares.items()
            ),
            "",
            "## Whole paths",
            "",
            f"| band | {model.name} | {baseline.name} |",
            "|---|---:|---:|",
            *(
                f"| {nominal:.0%}, step by step | {share:.3f} | {baseline.path_coverage[nominal]:.3f} |"
                for nominal, share in model.path_coverage.items()
            ),
            f"| 80%, simultaneous | {_share(model.simultaneous_coverage)} | {_share(baseline.simultaneous_coverage)} |",
            "",
            "## Protocol",
            "",
            *(f"- {sentence}" for sentence in self.protocol),
            f"- intervals of ratios: moving-block bootstrap, {self.wql_ratio.block} origins per block",
            "",
        ]
        return "\n".join(lines)

    def _ratios(self) -> list[tuple[str, ScoreRatio]]:
        return [("WQL", self.wql_ratio), ("MASE", self.mase_ratio)]


def _verdict(name: str, ratio: ScoreRatio, baseline: str) -> str:
    if ratio.claims_skill:
        return f"- {name}: skill; {1 - ratio.ratio:.1%} lower than {baseline}, and the interval excludes 1."
    if ratio.low > 1:
        return f"- {name}: worse than {baseline} by {ratio.ratio - 1:.1%}, and the interval excludes 1."
    if ratio.high == float("inf"):
        return f"- {name}: no skill is claimed; there are too few origins for an interval."
    return f"- {name}: no skill is claimed; the interval includes 1."


def _share(share: float) -> str:
    return "too few windows" if math.isnan(share) else f"{share:.3f}"
