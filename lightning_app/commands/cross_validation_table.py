"""Cross-validation table: means over folds with their intervals, and paired differences between configs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from lightning_app.commands.fold_results import FoldResult
from lightning_app.evaluation.resampled_t_test import FoldMean, fold_mean


@dataclass(frozen=True)
class Summary:
    """Result of one config over all folds.

    Attributes:
        name: Name of the config.
        metrics: Metric name to its mean over the folds.
        difference: Metric name to the mean difference from the first config, fold by fold; empty of the first.
    """

    name: str
    metrics: dict[str, FoldMean]
    difference: dict[str, FoldMean]


def summaries_of(results: Mapping[str, Sequence[FoldResult]]) -> list[Summary]:
    """Summaries of all configs.

    Args:
        results: Folds of each config by its name.
    """
    first = next(iter(results.values()))
    share = sum(one.test / one.train for one in first) / len(first)
    names = [name for name in sorted(first[0].metrics) if all(_known(name, folds) for folds in results.values())]
    summaries = []
    for config, folds in results.items():
        values = {name: [one.metrics[name] for one in folds] for name in names}
        before = {name: [one.metrics[name] for one in first] for name in names}
        difference = {
            name: fold_mean([a - b for a, b in zip(values[name], before[name], strict=True)], test_share=share)
            for name in ([] if folds is first else names)
        }
        means = {name: fold_mean(values[name], test_share=share) for name in names}
        summaries.append(Summary(config, means, difference))
    return summaries


def left_out(results: Mapping[str, Sequence[FoldResult]]) -> list[str]:
    """Metrics that some fold of some config does not have, or as no number, so that no mean over all is taken.

    Args:
        results: Folds of each config by its name.
    """
    names = {name for folds in results.values() for one in folds for name in one.metrics}
    return sorted(name for name in names if not all(_known(name, folds) for folds in results.values()))


def _known(name: str, folds: Sequence[FoldResult]) -> bool:
    return all(math.isfinite(one.metrics.get(name, math.nan)) for one in folds)


def _shown(summaries: Sequence[Summary]) -> list[str]:
    """Without the loss: models may be trained on different losses."""
    return [name for name in summaries[0].metrics if name != "test/loss"]


def _rows(summaries: Sequence[Summary]) -> list[list[str]]:
    rows = []
    for name in _shown(summaries):
        for summary in summaries:
            mean = summary.metrics[name]
            cells = [name, summary.name, f"{mean.mean:.4f} ± {mean.deviation:.4f}", _interval(mean)]
            if len(summaries) > 1:
                change = summary.difference.get(name)
                cells += ["", "", ""] if change is None else [
                    f"{change.mean:+.4f}", _interval(change), f"{change.p_value:.3g}",
                ]  # fmt: skip
            rows.append(cells)
    return rows


def _columns(summaries: Sequence[Summary]) -> list[str]:
    columns = ["metric", "config", "mean", "95 % interval"]
    if len(summaries) > 1:
        columns += [f"minus {summaries[0].name}", "95 % interval", "p"]
    return columns


def _interval(mean: FoldMean) -> str:
    return f"{mean.low:.4f} to {mean.high:.4f}"


def as_table(summaries: Sequence[Summary]) -> Table:
    """Renders the summaries for a terminal.

    Args:
        summaries: Of all configs.
    """
    table = Table(box=None)
    for index, column in enumerate(_columns(summaries)):
        table.add_column(column, justify="left" if index < 2 else "right")
    for cells in _rows(summaries):
        table.add_row(*cells)
    return table


def as_markdown(summaries: Sequence[Summary], results: Mapping[str, Sequence[FoldResult]], notes: Sequence[str]) -> str:
    """Renders summaries and folds as a Markdown page.

    Args:
        summaries: Of all configs.
        results: Folds of each config by its name.
        notes: Lines on rows and intervals.
    """
    lines = ["# Cross-validation", "", *_lines(_columns(summaries), _rows(summaries)), ""]
    lines += [f"- {note}" for note in notes]
    shown = _shown(summaries)
    cells = []
    for name, folds in results.items():
        for one in folds:
            rows = f"{one.train:,} / {one.val:,} / {one.test:,}"
            values = [f"{one.metrics[key]:.4f}" for key in shown]
            cells.append([name, str(one.fold), rows, *values, f"{one.seconds:.1f}", one.run])
    columns = ["config", "fold", "train / val / test", *shown, "fit CPU s", "run"]
    return "\n".join([*lines, "", "## Folds", "", *_lines(columns, cells)]) + "\n"


def _lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
