"""`lightning-app compare`: fits and tests several configs under one protocol, and puts them into one table."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.table import Table

from datamodules import BaseDataModule
from lightning_app.atomic_write import write_whole
from lightning_app.cli import quiet
from lightning_app.cli import run as run_verb
from lightning_app.cli.config_check import check_config
from lightning_app.cli.data_section import read_data
from lightning_app.commands.xu_selection import best_mean_epoch, is_xu_protocol
from lightning_app.config.shipped_configs import find_config
from lightning_app.config.trust import split_trust
from lightning_app.errors import UsageError
from lightning_app.runs.run_folder import RunFolder, create_run_folder
from lightning_app.terminal import only_result, print_json, show
from lightning_app.verb_parser import VerbParser
from models.trusted_classes import TrustedClasses


@dataclass(frozen=True)
class Protocol:
    """What a test is a test of; rows of one table agree in all of it.

    Attributes:
        name: Name of the data's protocol, if it has one.
        data: What data the protocol is of, where it has a name.
        split: Which of a protocol's splits each fit takes; None where it has one, or where the fits go through them.
    """

    name: str | None
    data: str | None = None
    split: int | None = None

    def __str__(self) -> str:
        of = "" if self.data is None else f" of {self.data}"
        return f"{self.name or 'a protocol without a name'}{of}{'' if self.split is None else f', split {self.split}'}"


@dataclass(frozen=True)
class Row:
    """What one config came to, as means over the seeds or splits.

    Attributes:
        name: Stem of the config file.
        parameters: Numbers that the fit finds.
        metrics: Metric name to mean value; validation and test.
        spread: Metric name to standard deviation over the seeds or splits; empty for a single fit.
        fit_seconds: Wall seconds of the fit.
        cpu_seconds: CPU seconds of the fit.
        folders: Run folders, one per seed or split.
        protocol: Name of the data's protocol, if it has one.
        epoch: The epoch that was chosen by the mean curve over the splits, from 0; None under other protocols.
        split: Which of the protocol's splits each fit took, see `Protocol`.
    """

    name: str
    parameters: int
    metrics: dict[str, float]
    spread: dict[str, float]
    fit_seconds: float
    cpu_seconds: float
    folders: list[str]
    protocol: str | None = None
    epoch: int | None = None
    split: int | None = None


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first. Words after `--` go to each fit.
    """
    parser = VerbParser("compare", description=__doc__, trusts=True)
    parser.add_argument("configs", nargs="+", help="config files, in the order of the table's rows")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--seeds", nargs="+", type=int, default=[], help="repeat each fit; default: the config's seed")
    again.add_argument("--splits", type=int, default=0, help="repeat each fit with data.split.index 0 to SPLITS - 1")
    parser.add_argument("--root", default="runs", help="folder of all runs")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, and all else on stderr")
    given, options = parser.split(args)
    given.configs = [find_config(config, option="configs") for config in given.configs]
    if given.splits < 0:
        raise UsageError(f"splits: {given.splits} given, at least 1 is needed")
    repeats = [["--seed_everything", str(seed)] for seed in given.seeds]
    repeats += [["--data.split.init_args.index", str(index)] for index in range(given.splits)]
    repeats = repeats or [[]]
    quiet()
    for config in given.configs:
        check_config(config, [*options, *repeats[-1]])
    # The last split: if there are fewer, it is said before hours of training, not after.
    protocol = one_protocol(given.configs, options=[*options, *repeats[-1]])
    if given.splits:
        protocol = replace(protocol, split=None)
    if is_xu_protocol(protocol.name) and given.splits < 2:
        raise UsageError(f"splits: {protocol.name} is a mean curve over folds; give --splits, e.g. --splits 10")
    options = [*options, "--run.root", given.root]
    with only_result(given.json):
        rows = [compare_one(config, repeats=repeats, options=options, protocol=protocol) for config in given.configs]
    folder = create_run_folder(given.root, "compare").path
    write_whole(folder / "table.md", as_markdown(rows))
    write_whole(folder / "table.json", json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    if given.json:
        print_json({"rows": [asdict(row) for row in rows], "table": str(folder / "table.md")})
        return
    show(as_table(rows))
    pictures = [picture for row in rows for picture in [Path(row.folders[0]) / "forecast.png"] if picture.exists()]
    print(f"table: {folder / 'table.md'}", *(f"picture: {picture}" for picture in pictures), sep="\n")  # noqa: T201


def one_protocol(configs: Sequence[str], *, options: Sequence[str]) -> Protocol:
    """The protocol that the data of all configs has.

    Args:
        configs: The config files.
        options: Further options of each fit.

    Raises:
        UsageError: Two configs have protocols of different names, or of different data or splits under one name.
    """
    protocols: dict[Protocol, str] = {}
    for config in configs:
        data = read_data(config, options)
        data.prepare_data()
        data.setup("test")
        protocols.setdefault(_protocol_of(data), config)
    if len(protocols) > 1:
        (first, its_config), (second, other_config) = list(protocols.items())[:2]
        raise UsageError(
            f"configs: {its_config} is tested by {first}, {other_config} by {second}; two protocols do not stand in "
            "one column, nor do two data sets or splits, so compare them apart"
        )
    return next(iter(protocols))


def _protocol_of(data: BaseDataModule) -> Protocol:
    protocol = data.protocol()
    if "name" not in protocol:
        return Protocol(None)
    return Protocol(protocol["name"], protocol["data"], getattr(getattr(data, "split", None), "index", None))


def compare_one(config: str, *, repeats: Sequence[Sequence[str]], options: Sequence[str], protocol: Protocol) -> Row:
    """Fits and tests one config, once per seed or split.

    Args:
        config: The config file.
        repeats: The options of each repetition, at least one.
        options: Further options of each fit.
        protocol: The data's protocol.
    """
    walls, cpus, parameters = [], [], 0
    folders: list[RunFolder] = []
    for repeat in repeats:
        wall, cpu = time.perf_counter(), time.process_time()
        fitted = run_verb(["fit", "-c", config, *options, *repeat])
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if fitted.trainer.world_size > 1:
            raise UsageError("compare: it runs on one process; fit and test a model on several by themselves")
        parameters = fitted.model.num_fitted
        folders.append(fitted.folder)
        if not is_xu_protocol(protocol.name):
            named, _ = split_trust(["fit", "-c", config, *options, *repeat])
            with TrustedClasses(named):  # what the user named for the fit holds for its test
                run_verb(["test", "--ckpt_path", str(fitted.folder.checkpoints / "best.ckpt")])
    metrics, spread, epoch = _mean_curve(folders) if is_xu_protocol(protocol.name) else _mean_of_tests(folders)
    return Row(
        name=Path(config).stem,
        parameters=parameters,
        metrics=metrics,
        spread=spread,
        fit_seconds=statistics.fmean(walls),
        cpu_seconds=statistics.fmean(cpus),
        folders=[str(folder.path) for folder in folders],
        protocol=protocol.name,
        epoch=epoch,
        split=protocol.split,
    )


def _mean_of_tests(folders: Sequence[RunFolder]) -> tuple[dict[str, float], dict[str, float], None]:
    """Means and deviations of what each run came to."""
    results = [_of_the_best(folder.read_metrics()) for folder in folders]
    names = [name for name in results[0] if name.startswith(("val/", "test/"))]
    means = {name: statistics.fmean(result[name] for result in results) for name in names}
    if len(results) == 1:
        return means, {}, None
    return means, {name: statistics.stdev(result[name] for result in results) for name in names}, None


def _of_the_best(metrics: dict[str, float]) -> dict[str, float]:
    """With the validation of the checkpoint that was tested in place of the last one."""
    best = {name.removeprefix("best/"): value for name, value in metrics.items() if name.startswith("best/val/")}
    return {**metrics, **best}


def _mean_curve(folders: Sequence[RunFolder]) -> tuple[dict[str, float], dict[str, float], int]:
    """The best point of the mean curve, whose validation graphs are the test graphs."""
    best = best_mean_epoch([folder.history for folder in folders])
    return {"test/accuracy": best.mean}, {"test/accuracy": best.deviation}, best.epoch


def as_table(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
    table = Table(caption=_caption(rows) or None)
    for index, column in enumerate(_columns(rows)):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*_cells(row, rows))
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    """The table for a page."""
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns), *(_cells(row, rows) for row in rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
    caption = _caption(rows)
    return f"{table}\n{caption}\n" if caption else table


def _caption(rows: Sequence[Row]) -> str:
    """What the protocol is called, and how far its numbers can be trusted."""
    protocol, count = rows[0].protocol, len(rows[0].folders)
    if protocol is None:
        return ""
    if is_xu_protocol(protocol):
        return (
            f"Protocol {protocol}: an upper bound. Mean over {count} folds at the epoch where that mean is best, which "
            "the graphs that it is measured on choose; not comparable with protocols that hold them out."
        )
    split = "" if rows[0].split is None else f", split {rows[0].split} only"
    return f"Protocol {protocol}{split}" + ("." if count == 1 else f", mean ± standard deviation of {count} fits.")


def _columns(rows: Sequence[Row]) -> list[str]:
    return ["model", "parameters", *_shown(rows), *(["epoch"] if _has_epochs(rows) else []), "fit CPU s"]


def _has_epochs(rows: Sequence[Row]) -> bool:
    return rows[0].epoch is not None


def _shown(rows: Sequence[Row]) -> list[str]:
    """Test metrics that every row has; the loss is left out, as models may be trained on different ones."""
    names = [name for name in rows[0].metrics if name.startswith("test/") and name != "test/loss"]
    return [name for name in names if all(name in row.metrics for row in rows)]


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    def cell(name: str) -> str:
        spread = f" ± {row.spread[name]:.4f}" if name in row.spread else ""
        return f"{row.metrics[name]:.4f}{spread}"

    epoch = [str(row.epoch)] if _has_epochs(rows) else []
    return [row.name, f"{row.parameters:,}", *(cell(name) for name in _shown(rows)), *epoch, f"{row.cpu_seconds:.1f}"]
