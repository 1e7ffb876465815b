"""Networks on tables: Adult and California housing beside published results, and the cost of the command's loop."""

import statistics
from collections.abc import Mapping

from benchmarks.measure import Cost, alternate, median, run
from benchmarks.page import table, verdict

_SEEDS = ("0", "1", "2")
_T_95 = 4.303
"""Quantile of Student's t with two degrees of freedom, for the 95 % interval of the mean of three runs."""


def adult_networks() -> str:
    """Adult: accuracy of networks on the published test split, beside published results."""
    configs = {
        "perceptron on piecewise-linear embeddings": "tabular/adult_perceptron",
        "TabM on piecewise-linear embeddings": "tabular/adult_tabm",
        "FT-Transformer on piecewise-linear embeddings": "tabular/adult_ft",
    }
    rows, minutes = quality_rows(configs, metric="test/accuracy", aim=0.861, scale=1.0, higher=True)
    return (
        "Accuracy on adult.test (16,281 rows). Each run draws its 15 % of validation rows from adult.data with its seed; "
        "sizes, rates and epochs were chosen on validation rows alone, of seed 0; the best epoch by validation loss is "
        f"tested. {minutes:.1f} CPU-minutes in all.\n\n"
    ) + table(
        "|mean of 3 seeds, 95 % interval|each|CPU s per fit|aim|",
        *rows,
        "FT-Transformer paper (2021): FT-Transformer|0.859||||",
        "the same: CatBoost, XGBoost|0.873, 0.872||||",
    )


def housing_networks() -> str:
    """California housing: error of TabM on the papers' 64/16/20 split, beside published results."""
    configs = {"TabM on piecewise-linear embeddings": "tabular/housing_tabm"}
    rows, minutes = quality_rows(configs, metric="test/rmse", aim=0.450, scale=1e-5, higher=False)
    return (
        "RMSE in 100,000 US dollars on california_housing/housing.csv, 64 % train, 16 % validation, 20 % test, split and "
        "network by the seed. The columns are those of the papers, the totals they are ratios of, the turned coordinates "
        "north-east and north-west, and the category ocean_proximity, which the papers' version of the data does not "
        "have; 207 blocks miss their number of bedrooms. Sizes, rates and epochs were chosen on the validation rows of "
        f"seed 0; the best epoch by validation loss is tested. {minutes:.1f} CPU-minutes in all.\n\n"
    ) + table(
        "|mean of 3 seeds, 95 % interval|each|CPU s per fit|aim|",
        *rows,
        "FT-Transformer paper (2021): FT-Transformer|0.459||||",
        "the same: CatBoost|0.430||||",
    )


def quality_rows(
    configs: Mapping[str, str], *, metric: str, aim: float | None, scale: float, higher: bool
) -> tuple[list[str], float]:
    """Fits and tests configs with three seeds, of the split as well: a row each, and the CPU-minutes of all.

    Args:
        configs: Config by the name of its row.
        metric: Of the test.
        aim: Of the mean; None for none.
        scale: Factor of the metric.
        higher: Whether higher is better.
    """
    rows, seconds = [], 0.0
    for name, config in configs.items():
        costs = [run("table_network", config, seed) for seed in _SEEDS]
        seconds += sum(cost.cpu_seconds for cost in costs)
        values = [float(cost.answer[metric]) * scale for cost in costs]
        mean = statistics.mean(values)
        goal = "|" if aim is None else f"{aim:.3f}|{verdict(mean >= aim if higher else mean <= aim)}"
        half = _T_95 * statistics.stdev(values) / len(values) ** 0.5
        rows.append(
            f"{name}|{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]|{', '.join(f'{value:.4f}' for value in values)}|"
            f"{median(costs, 'fit_cpu_s'):.0f}|{goal}"
        )
    return rows, seconds / 60


def perceptron_fit_cost() -> str:
    """A perceptron through the command against a plain PyTorch loop on the same arrays: CPU time."""
    rows = []
    for name, size in (("2 x 64", "64"), ("2 x 512", "512")):
        jobs = (("perceptron_fit", kind, "5", size) for kind in ("command", "plain"))
        command, plain = alternate(3, *jobs)
        fit = [median(costs, "seconds") for costs in (command, plain)]
        whole = [_median_cpu(costs) for costs in (command, plain)]
        for part, (ours, theirs) in (("the fit", fit), ("the whole process", whole)):
            ratio = ours / theirs
            rows.append(f"{name}, {part}|{ours:.1f}|{theirs:.1f}|{ratio:.2f}x|1.15x|{verdict(ratio <= 1.15)}")
    return (
        "Perceptrons on Adult, 22,793 training rows, 5 epochs in batches of 256, AdamW and the same schedule, dropout, "
        "validation with the same kind of metrics after each epoch; medians of 3 in turn, W&B off. The plain loop starts "
        "from numbers that are scaled already, and writes no checkpoints, no metrics and no report; both read the table "
        "and compute its features, which the whole process includes.\n\n"
    ) + table("CPU seconds|command|plain loop|ratio|aim|", *rows)


def _median_cpu(costs: list[Cost]) -> float:
    return statistics.median(cost.cpu_seconds for cost in costs)


SECTIONS = {
    "adult_networks": adult_networks,
    "housing_networks": housing_networks,
    "perceptron_fit_cost": perceptron_fit_cost,
}
