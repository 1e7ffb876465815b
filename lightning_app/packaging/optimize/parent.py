"""Parent of a variant: the package that it is made from, with the exporter and the data to measure both."""

from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import override

from lightning_app.cli.trained_run import TrainedRun
from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.find_exporter import exporter_for
from lightning_app.packaging.export.package_lineage import file_sha256
from lightning_app.packaging.format.parquet_table import read_table
from lightning_app.packaging.optimize.evaluate_predictor import evaluate_predictor

_APART = 1e-3
"""Largest difference between a package's mean error now and at its export, as a share."""


class PackageConfig(TrainedRun):
    """Model and data of a package's config, without a checkpoint: enough to evaluate answers, not to give them.

    Args:
        package: Folder of the package.
        root: Where the folder of a run is made that there is none of.
        overrides: Further options, such as where the data lies on this machine.
    """

    def __init__(self, package: Path, root: Path, overrides: list[str]) -> None:
        self.data_configs = (package / "config.yaml",)
        super().__init__(["--config", str(package / "config.yaml"), "--run.root", str(root), *overrides])

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        self.model.cpu().eval()
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        # The statistics of the training rows, which a checkpoint would bring.
        self.trainer.datamodule = self.datamodule  # type: ignore[attr-defined]
        self.model.trainer = self.trainer
        self.model.setup("fit")


def exporter_of(trained: TrainedRun) -> Exporter:
    """The exporter of a model, with its test split.

    Args:
        trained: Model and data.

    Raises:
        UsageError: The family is not optimised.
    """
    trained.datamodule.prepare_data()
    trained.datamodule.setup("test")
    exporter = exporter_for(trained.model, trained.datamodule)
    if exporter.not_optimized is not None:
        raise UsageError(f"optimize: {type(trained.model).__name__} given; {exporter.not_optimized}")
    return exporter


def check_made_of(parent: Package, trained: TrainedRun) -> None:
    """Raises `UsageError` unless a package was made of a checkpoint.

    Args:
        parent: The package.
        trained: The checkpoint.
    """
    assert trained.source.path is not None
    digest = file_sha256(trained.source.path)
    parents: list[dict[str, Any]] = list(parent.manifest.lineage.get("parents", ()))
    if not any(made_of.get("sha256") == digest for made_of in parents):
        raise UsageError(
            f"optimize-from: {parent.path} was not made of {trained.source.path}; give the run that it was made of, or "
            "leave the package or the run out"
        )


def check_same_test(parent: Package, trained: TrainedRun, exporter: Exporter) -> None:
    """Raises `UsageError` unless the data of a config gives a package the errors that it had at its export.

    Args:
        parent: The package.
        trained: Model and data of its config.
        exporter: Of the model, with its test split.
    """
    check_same_ids(parent, exporter)
    hint = "say where it lies with an option of the data after --, or give the run instead of --optimize-from"
    known, found = parent.manifest.evaluation_data, trained.datamodule.fingerprint()
    digests = [side.get("sha256") if isinstance(side, dict) else None for side in (known, found)]
    if digests[0] != digests[1]:
        raise UsageError(f"optimize-from: the data here is not that of {parent.path} (another fingerprint); {hint}")
    before, after = read_evaluation(parent), evaluate_predictor(exporter, parent.predictor).table
    same_rows = before["row"].to_list() == after["row"].to_list()
    means = [float(table["error"].to_numpy().mean()) for table in (before, after)]
    if not same_rows or not abs(means[0] - means[1]) <= _APART * max(abs(means[0]), 1e-12):
        raise UsageError(
            f"optimize-from: {parent.path} has a mean test error of {means[0]:.6g} over {len(before):,} rows, and "
            f"{means[1]:.6g} over {len(after):,} with the data of its config here; {hint}"
        )


def check_same_ids(parent: Package, exporter: Exporter) -> None:
    """Raises `UsageError` unless a package and a new export of its model take nodes by the same ids.

    Args:
        parent: The package.
        exporter: Of the model, with its test split.
    """
    if exporter.node_ids is not None and parent.manifest.node_ids is None:
        raise UsageError(
            f"optimize-from: {parent.path} is asked for nodes by number, as it was written before ids travelled with "
            "packages; export the run anew"
        )


def read_evaluation(package: Package) -> pl.DataFrame:
    """`evaluation.parquet` of a package, rows ascending."""
    return read_table(package.path / "evaluation.parquet", name="evaluation.parquet").sort("row")
