"""Comparison: `lightning-app compare` fits and tests several configs under one protocol and writes one table."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from datamodules import BaseDataModule
from lightning_app.atomic_write import write_whole
from lightning_app.cli import quiet
from lightning_app.cli import run as run_verb
from lightning_app.cli.config_check import check_config
from lightning_app.cli.data_section import read_data
from lightning_app.commands.comparison_table import Row, as_markdown, as_table
from lightning_app.commands.split_repeats import split_repeats
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
    """Evaluation protocol of a test; all rows of one table must agree in it.

    Attributes:
        name: Name of the data module's protocol, None if it has none.
        data: Data set of a named protocol.
        split: Index of the published split that each fit uses; None if the protocol has a single split, or if the fits
            iterate over all of them.
    """

    name: str | None
    data: str | None = None
    split: int | None = None

    def __str__(self) -> str:
        of = "" if self.data is None else f" of {self.data}"
        return f"{self.name or 'a protocol without a name'}{of}{'' if self.split is None else f', split {self.split}'}"


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first. Words after `--` are passed to each fit.
    """
    parser = VerbParser("compare", description=__doc__, trusts=True)
    parser.add_argument("configs", nargs="+", help="config files, in the order of the table's rows")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--seeds", nargs="+", type=int, default=[], help="repeat each fit; default: the config's seed")
    again.add_argument(
        "--splits",
        type=int,
        default=0,
        help="repeat each fit on SPLITS splits: data.split.index 0 to SPLITS - 1, or that many seeds of a random split",
    )
    parser.add_argument("--root", default="runs", help="folder of all runs")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, and all else on stderr")
    arguments, options = parser.split(args)
    arguments.configs = [find_config(config, option="configs") for config in arguments.configs]
    if arguments.splits < 0:
        raise UsageError(f"splits: {arguments.splits} given, at least 1 is needed")
    repeats = [["--seed_everything", str(seed)] for seed in arguments.seeds]
    quiet()
    if arguments.splits:
        check_config(arguments.configs[0], options)
        repeats = split_repeats(arguments.configs[0], options, count=arguments.splits)
    repeats = repeats or [[]]
    for config in arguments.configs:
        check_config(config, [*options, *repeats[-1]])
    # Checked with the last split: too few splits are reported before hours of training.
    protocol = one_protocol(arguments.configs, options=[*options, *repeats[-1]])
    if arguments.splits:
        protocol = replace(protocol, split=None)
    if is_xu_protocol(protocol.name) and arguments.splits < 2:
        raise UsageError(f"splits: {protocol.name} is a mean curve over folds; give --splits, e.g. --splits 10")
    options = [*options, "--run.root", arguments.root]
    with only_result(arguments.json):
        rows = [
            compare_one(config, repeats=repeats, options=options, protocol=protocol) for config in arguments.configs
        ]
    folder = create_run_folder(arguments.root, "compare").path
    write_whole(folder / "table.md", as_markdown(rows))
    write_whole(folder / "table.json", json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    if arguments.json:
        print_json({"rows": [asdict(row) for row in rows], "table": str(folder / "table.md")})
        return
    show(as_table(rows))
    pictures = [picture for row in rows for picture in [Path(row.folders[0]) / "forecast.png"] if picture.exists()]
    print(f"table: {folder / 'table.md'}", *(f"picture: {picture}" for picture in pictures), sep="\n")  # noqa: T201


def one_protocol(configs: Sequence[str], *, options: Sequence[str]) -> Protocol:
    """Determines the protocol that the data modules of all configs share.

    Args:
        configs: Config files.
        options: Further options of each fit.

    Raises:
        UsageError: Two configs differ in the name, data set or split of their protocol.
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
            f"configs: {its_config} is tested by {first}, {other_config} by {second}; results of different protocols, "
            "data sets or splits are not comparable, so compare them separately"
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
        config: Config file.
        repeats: Options of each repetition, at least one.
        options: Further options of each fit.
        protocol: Protocol of the data module.

    Raises:
        UsageError: The config trains on more than one process.
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
            with TrustedClasses(named):  # modules trusted for the fit are trusted for its test
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
    """Means and standard deviations of each run's metrics."""
    results = [folder.read_metrics() for folder in folders]
    names = [name for name in results[0] if name.startswith(("val/", "test/"))]
    means = {name: statistics.fmean(result[name] for result in results) for name in names}
    if len(results) == 1:
        return means, {}, None
    return means, {name: statistics.stdev(result[name] for result in results) for name in names}, None


def _mean_curve(folders: Sequence[RunFolder]) -> tuple[dict[str, float], dict[str, float], int]:
    """Best point of the mean validation curve; under this protocol the validation graphs are the test graphs."""
    best = best_mean_epoch([folder.history for folder in folders])
    return {"test/accuracy": best.mean}, {"test/accuracy": best.deviation}, best.epoch
