"""Cross-validation: `lightning-app cross-validate` fits and tests configs fold by fold, and keeps all predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from lightning_app.atomic_write import replacing, write_whole
from lightning_app.cli import quiet
from lightning_app.cli.config_check import check_config
from lightning_app.commands.cross_validation_table import Summary, as_markdown, as_table, left_out, summaries_of
from lightning_app.commands.fold_plan import Experiment, experiments_of, keep_plan
from lightning_app.commands.fold_results import FoldResult, fold_result
from lightning_app.config.shipped_configs import find_config
from lightning_app.errors import UsageError
from lightning_app.runs.output_lock import OutputLock
from lightning_app.runs.run_folder import create_run_folder
from lightning_app.terminal import only_result, print_json, show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first. Words after `--` are passed to each fit.
    """
    parser = VerbParser("cross-validate", description=__doc__, trusts=True)
    parser.add_argument("configs", nargs="+", help="config files; the first is what the others are compared with")
    parser.add_argument("--folds", type=int, default=5, help="number of folds; default: 5")
    parser.add_argument(
        "--within-training", action="store_true",
        help="fold the training and validation rows of a published split, without its test rows",
    )  # fmt: skip
    parser.add_argument("--root", default="runs", help="folder of all runs")
    parser.add_argument(
        "--output", type=Path, help="folder of the cross-validation; one that was stopped goes on where it was"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, and all else on stderr")
    arguments, options = parser.split(args)
    configs = [find_config(config, option="configs") for config in arguments.configs]
    if arguments.folds < 2:
        raise UsageError(f"--folds: {arguments.folds} given, at least 2 are needed")
    quiet()
    experiments = experiments_of(configs, options, num_folds=arguments.folds, within_training=arguments.within_training)
    for experiment in experiments:
        check_config(experiment.config, [*options, *experiment.folds[0]])
    folder = arguments.output or create_run_folder(arguments.root, "cross-validate").path
    # Beside the folder, which has to be empty for a new plan.
    lock = folder.resolve().with_name(f".{folder.resolve().name}.lock")
    held = OutputLock(lock, output=folder)
    try:
        keep_plan(folder, experiments, options)
        _fit_and_show(experiments, options, folder, num_folds=arguments.folds, as_json=arguments.json)
    finally:
        lock.unlink(missing_ok=True)
        held.release()


def _fit_and_show(
    experiments: Sequence[Experiment], options: Sequence[str], folder: Path, *, num_folds: int, as_json: bool
) -> None:
    with only_result(as_json):
        print(f"cross-validation: {folder}; --output {folder} goes on with it if it is stopped", flush=True)  # noqa: T201
        results: dict[str, list[FoldResult]] = {experiment.name: [] for experiment in experiments}
        for fold in range(num_folds):  # fold by fold, so that one that is stopped can be compared
            for experiment in experiments:
                result = fold_result(experiment, fold, folder=folder, options=options)
                results[experiment.name].append(result)
    untested = _write_predictions(folder, results)
    summaries = summaries_of(results)
    notes = _notes(results, untested)
    write_whole(folder / "table.md", as_markdown(summaries, results, notes))
    content = {
        "summaries": [_plain(summary) for summary in summaries],
        "folds": {name: [asdict(one) for one in of_config] for name, of_config in results.items()},
        "notes": notes,
        "table": str(folder / "table.md"),
        "predictions": str(folder / "predictions.parquet"),
    }
    write_whole(folder / "table.json", json.dumps(content, indent=2) + "\n")
    if as_json:
        print_json(content)
        return
    _show(summaries, notes, folder)


def _plain(summary: Summary) -> dict[str, Any]:
    """A summary for JSON; means have no p-value, which would be that of a metric of 0."""
    content = asdict(summary)
    for mean in content["metrics"].values():
        del mean["p_value"]
    return content


def _show(summaries: Sequence[Summary], notes: Sequence[str], folder: Path) -> None:
    show(as_table(summaries))
    lines = [*notes, f"table: {folder / 'table.md'}", f"predictions: {folder / 'predictions.parquet'}"]
    print(*lines, sep="\n")  # noqa: T201


def _write_predictions(folder: Path, results: Mapping[str, Sequence[FoldResult]]) -> int:
    """Joins the predictions of all folds; returns how many labelled rows never tested.

    Raises:
        UsageError: A row tested twice.
    """
    tables = []
    for name, folds in results.items():
        parts = [pl.read_parquet(folder / "folds" / f"{name}-{one.fold}.parquet") for one in folds]
        tables.append(pl.concat(parts).sort("row"))
    table = pl.concat(tables, how="diagonal")
    if table.select("config", "row").is_duplicated().any():
        raise UsageError(
            "cross-validate: a row is in the test part of two folds; the split protocol is no cross-validation"
        )
    with replacing(folder / "predictions.parquet") as partial:
        table.write_parquet(partial)
    first = next(iter(results.values()))
    return first[0].labelled - sum(one.test for one in first)


def _notes(results: Mapping[str, Sequence[FoldResult]], untested: int) -> list[str]:
    first = next(iter(results.values()))
    tested = sum(one.test for one in first)
    lost = left_out(results)
    never = f", {untested:,} never" if untested else ""
    return [
        f"{len(first)} folds; {tested:,} of {first[0].labelled:,} labelled rows tested once{never}",
        "mean ± standard deviation over the folds; 95 % intervals and p-values: corrected resampled t-test "
        "(Nadeau & Bengio, 2003)",
        *([f"no mean of {', '.join(lost)}: not a number in all folds of all configs"] if lost else []),
    ]
