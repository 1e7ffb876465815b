"""`lightning-app compare`: fits and tests several configs under one protocol, and puts them into one table."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lightning_app.cli import run as run_verb
from lightning_app.errors import UsageError
from lightning_app.run import create_run_folder, write_whole
from lightning_app.verb_parser import VerbParser


@dataclass(frozen=True)
class Row:
    """What one config came to, as means over the seeds.

    Attributes:
        name: Stem of the config file.
        parameters: Numbers that the fit finds.
        metrics: Metric name to mean value; validation and test.
        spread: Metric name to standard deviation over the seeds; empty for one seed.
        fit_seconds: Wall seconds of the fit.
        cpu_seconds: CPU seconds of the fit.
        folders: Run folders, one per seed.
    """

    name: str
    parameters: int
    metrics: dict[str, float]
    spread: dict[str, float]
    fit_seconds: float
    cpu_seconds: float
    folders: list[str]


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first. Words after `--` go to each fit.
    """
    parser = VerbParser("compare", description=__doc__)
    parser.add_argument("configs", nargs="+", help="config files, in the order of the table's rows")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], help="repeat each fit; default: the config's seed")
    parser.add_argument("--root", default="runs", help="folder of all runs")
    given, options = parser.split(args)
    missing = [config for config in given.configs if not Path(config).is_file()]
    if missing:
        raise UsageError(f"configs: {missing[0]!r} does not exist")
    rows = [
        compare_one(config, seeds=given.seeds, options=[*options, "--run.root", given.root]) for config in given.configs
    ]
    folder = create_run_folder(given.root, "compare").path
    write_whole(folder / "table.md", as_markdown(rows))
    write_whole(folder / "table.json", json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    Console(soft_wrap=True).print(as_table(rows))
    pictures = [picture for row in rows for picture in [Path(row.folders[0]) / "forecast.png"] if picture.exists()]
    print(f"table: {folder / 'table.md'}", *(f"picture: {picture}" for picture in pictures), sep="\n")  # noqa: T201


def compare_one(config: str, *, seeds: Sequence[int], options: Sequence[str]) -> Row:
    """Fits and tests one config, once per seed.

    Args:
        config: The config file.
        seeds: Seeds; none takes the config's own.
        options: Further options of each fit.
    """
    results, walls, cpus, folders, parameters = [], [], [], [], 0
    for seed in [["--seed_everything", str(seed)] for seed in seeds] or [[]]:
        wall, cpu = time.perf_counter(), time.process_time()
        fitted = run_verb(["fit", "-c", config, *options, *seed])
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if fitted.trainer.world_size > 1:
            raise UsageError("compare: it runs on one process; fit and test a model on several by themselves")
        parameters = fitted.model.num_fitted
        folder = fitted.folder
        folders.append(str(folder.path))
        run_verb(["test", "--ckpt_path", str(folder.checkpoints / "best.ckpt")])
        results.append(folder.read_metrics())
    names = [name for name in results[0] if name.startswith(("val/", "test/"))]
    return Row(
        name=Path(config).stem,
        parameters=parameters,
        metrics={name: statistics.fmean(result[name] for result in results) for name in names},
        spread={name: statistics.stdev(result[name] for result in results) for name in names}
        if len(results) > 1
        else {},
        fit_seconds=statistics.fmean(walls),
        cpu_seconds=statistics.fmean(cpus),
        folders=folders,
    )


def as_table(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
    table = Table()
    for index, column in enumerate(_columns(rows)):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*_cells(row, rows))
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    """The table for a page."""
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns), *(_cells(row, rows) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _columns(rows: Sequence[Row]) -> list[str]:
    return ["model", "parameters", *_shown(rows), "fit CPU s"]


def _shown(rows: Sequence[Row]) -> list[str]:
    """Test metrics that every row has; the loss is left out, as models may be trained on different ones."""
    names = [name for name in rows[0].metrics if name.startswith("test/") and name != "test/loss"]
    return [name for name in names if all(name in row.metrics for row in rows)]


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    def cell(name: str) -> str:
        spread = f" ± {row.spread[name]:.4f}" if name in row.spread else ""
        return f"{row.metrics[name]:.4f}{spread}"

    return [row.name, f"{row.parameters:,}", *(cell(name) for name in _shown(rows)), f"{row.cpu_seconds:.1f}"]
