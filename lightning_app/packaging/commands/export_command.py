"""Export command: `lightning-app export` packages a checkpoint and verifies that both give the same answers."""

import re
from pathlib import Path

from lightning_app.cli import quiet
from lightning_app.cli.trained_run import TrainedRun
from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.packaging.export.package_run import export_package
from lightning_app.packaging.format.writer import check_output
from lightning_app.packaging.optimize.optimize_run import optimize_package, optimize_run
from lightning_app.packaging.optimize.options import add_optimize_options, read_optimize_options
from lightning_app.packaging.optimize.record import print_change
from lightning_app.runs.run_folder import RunFolder, run_folder_of
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first. Words after `--` override the config.
    """
    parser = VerbParser("export", description=__doc__, trusts=True, epilog="Words after -- override the config.")
    parser.add_argument(
        "source",
        metavar="RUN_OR_CKPT",
        nargs="?",
        help="run folder (its best checkpoint, else the last), checkpoint, or 'best': of the newest run of -c",
    )
    parser.add_argument("--output", required=True, help="folder of the package")
    parser.add_argument("--name", help="name of the package; default: that of the experiment")
    parser.add_argument("--sample", type=int, default=2000, help="maximum rows of the reference sample")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing package")
    parser.add_argument("-c", "--config", action="append", default=[], help="config file; a run folder brings its own")
    add_optimize_options(parser)
    arguments, options = parser.split(args)
    optimization = read_optimize_options(arguments)
    if arguments.sample < 1:
        raise UsageError(f"sample: {arguments.sample} given, at least 1 is needed")
    output = Path(arguments.output)
    check_output(output, arguments.overwrite)
    quiet()
    if arguments.source is None:
        if optimization is None or optimization.parent is None:
            raise UsageError("export: no RUN_OR_CKPT given; only --optimize with --optimize-from PACKAGE works without")
        _print(
            optimize_package(
                output, optimization, name=arguments.name, overrides=options, overwrite=arguments.overwrite
            )
        )
        return
    configs = [word for config in arguments.config for word in ("--config", config)]
    newest = arguments.source == "best" and configs
    checkpoint = arguments.source if newest else str(checkpoint_of(arguments.source))
    trained = TrainedRun(["--ckpt_path", checkpoint, *configs, *options])
    assert trained.source.path is not None
    if run_folder_of(trained.source.path) is None:
        _remove_if_empty(trained.folder.path)  # created for a checkpoint outside of any run folder
    name = arguments.name or re.sub(r"[^A-Za-z0-9_.-]+", "_", trained.run_options.name or "model")
    if optimization is None:
        _print(export_package(trained, output, name=name, sample=arguments.sample, overwrite=arguments.overwrite))
    else:
        overwrite = arguments.overwrite
        _print(optimize_run(trained, output, optimization, name=name, sample=arguments.sample, overwrite=overwrite))


def _print(package: Package) -> None:
    manifest = package.manifest
    size = sum(entry.bytes for entry in (manifest.files or {}).values())
    for metric, value in manifest.metrics["values"].items():
        print(f"{metric}: {value:.6g}")  # noqa: T201
    if manifest.optimization is not None:
        print_change(manifest.optimization)
    print(f"parity: {manifest.parity['max_relative_error']:.1e} over {manifest.parity['rows']:,} rows")  # noqa: T201
    if manifest.card["missing"]:
        sections = ", ".join(f"card.{section}" for section in manifest.card["missing"])
        print(f"model card: not complete, so it cannot be promoted; write {sections} in the config")  # noqa: T201
    print(f"package: {package.path}, {size / 1e6:.2f} MB, sha256 {package.digest}")  # noqa: T201


def _remove_if_empty(folder: Path) -> None:
    """Removes a run folder and its two parents as far as they are empty."""
    for path in (folder, folder.parent, folder.parent.parent):
        try:
            path.rmdir()
        except OSError:
            return


def checkpoint_of(source: str) -> Path:
    """Checkpoint of a run folder, or the path of a checkpoint itself.

    Args:
        source: Run folder (its best checkpoint, else the last) or checkpoint.

    Raises:
        UsageError: There is no checkpoint.
    """
    path = Path(source)
    if not path.is_dir():
        if not path.exists():
            raise UsageError(f"source: {source!r} does not exist; give a run folder or a checkpoint")
        return path
    checkpoint = RunFolder(path).checkpoint("best", "last")
    if checkpoint is None:
        raise UsageError(
            f"source: {source!r} has no checkpoints/best.ckpt or last.ckpt; give a run folder or a checkpoint"
        )
    return checkpoint
