"""Optimisation of a run or a package: a variant that passed its gates."""

import tempfile
from pathlib import Path

import torch

from lightning_app.cli.trained_run import TrainedRun
from lightning_app.errors import UsageError
from lightning_app.packaging import Package, Predictor
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.package_run import export_package
from lightning_app.packaging.export.parity import ROWS
from lightning_app.packaging.format.parquet_table import read_table
from lightning_app.packaging.optimize.fp16 import halve_weights
from lightning_app.packaging.optimize.gates import ATTEMPTS, compare_accuracy, compare_latency
from lightning_app.packaging.optimize.int8 import quantize_weights
from lightning_app.packaging.optimize.options import FROM_PACKAGE, OptimizeOptions
from lightning_app.packaging.optimize.parent import (
    PackageConfig,
    check_made_of,
    check_same_test,
    exporter_of,
    read_evaluation,
)
from lightning_app.packaging.optimize.record import Change
from lightning_app.packaging.optimize.recovery import pruned_run
from lightning_app.packaging.optimize.variant import Draft, draft_of, draft_with

_TRANSFORMS = {"int8": quantize_weights, "fp16": halve_weights}


def optimize_run(
    trained: TrainedRun,
    output: Path,
    options: OptimizeOptions,
    *,
    name: str,
    sample: int = 2000,
    overwrite: bool = False,
) -> Package:
    """Makes an optimised package of a checkpoint.

    Args:
        trained: The checkpoint with its model and data.
        output: Folder of the package.
        options: What to do, and what it may cost.
        name: Of the package.
        sample: Most rows of the reference sample.
        overwrite: Replace a package that is there.

    Raises:
        OptimizationError: The variant is less accurate, or slower, than is allowed; nothing is written.
        UsageError: The model cannot be optimised in this way.
    """
    exporter = exporter_of(trained)
    with tempfile.TemporaryDirectory() as folder:
        if options.parent is None:
            parent = export_package(trained, Path(folder) / "parent", name=name, sample=sample)
        else:
            parent = _load_parent(options.parent)
            check_made_of(parent, trained)
        if options.kind == "pruned":
            draft = _pruned(parent, trained, options, Path(folder), name=name, sample=sample)
        else:
            draft = _transformed(parent, exporter, trained, options, name)
        return _gated(parent, draft, exporter, output, options, overwrite=overwrite)


def optimize_package(
    output: Path, options: OptimizeOptions, *, name: str | None, overrides: list[str], overwrite: bool = False
) -> Package:
    """Makes an optimised package of a package alone: no checkpoint, but the data of its config.

    Args:
        output: Folder of the package.
        options: What to do, and what it may cost; with a parent.
        name: Of the package; None keeps the parent's.
        overrides: Options over the parent's config.
        overwrite: Replace a package that is there.

    Raises:
        OptimizationError: The variant is less accurate, or slower, than is allowed; nothing is written.
        UsageError: The package cannot be optimised in this way, or not be measured here.
    """
    assert options.parent is not None
    if options.kind not in FROM_PACKAGE:
        raise UsageError(
            f"optimize: {options.kind} given with a package alone; it trains the model on and needs the run as "
            f"RUN_OR_CKPT. A package suffices for {' and '.join(FROM_PACKAGE)}"
        )
    parent = _load_parent(options.parent)
    with tempfile.TemporaryDirectory() as folder:
        configured = PackageConfig(parent.path, Path(folder), overrides)
        exporter = exporter_of(configured)
        check_same_test(parent, configured, exporter)
        draft = _transformed(parent, exporter, configured, options, name or parent.manifest.name)
        return _gated(parent, draft, exporter, output, options, overwrite=overwrite)


def _load_parent(path: str) -> Package:
    parent = Package.load(path)
    done = (parent.manifest.optimization or {}).get("kind")
    if done in FROM_PACKAGE:
        raise UsageError(f"optimize-from: {path} is {done} already; start from the package that it was made from")
    return parent


def _transformed(
    parent: Package, exporter: Exporter, trained: TrainedRun, options: OptimizeOptions, name: str
) -> Draft:
    model = _TRANSFORMS[options.kind]((parent.path / "model.onnx").read_bytes())
    return draft_with(model, parent=parent, name=name, kind=options.kind, exporter=exporter, trained=trained)


def _pruned(
    parent: Package, trained: TrainedRun, options: OptimizeOptions, folder: Path, *, name: str, sample: int
) -> Draft:
    smaller, pruned = pruned_run(trained, folder, share=options.prune_share, epochs=options.recovery_epochs)
    exporter_of(trained)  # training set the data up for itself
    settings = {f"{key}_before": value for key, value in pruned.before.items()} | pruned.arguments
    settings["recovery_epochs"] = options.recovery_epochs
    return draft_of(export_package(smaller, folder / "pruned", name=name, sample=sample), parent, settings)


@torch.no_grad()
def _gated(
    parent: Package, draft: Draft, exporter: Exporter, output: Path, options: OptimizeOptions, *, overwrite: bool
) -> Package:
    """Writes the variant if it passes."""
    evaluation = draft.files["evaluation.parquet"]
    table = read_table(evaluation, name="evaluation.parquet")
    accuracy = compare_accuracy(read_evaluation(parent), table, block=exporter.block)
    accuracy.check(options.max_worse)
    variant = Predictor(
        manifest=draft.manifest,
        model=draft.model,
        tokenizer=parent.tokenizer,
        node_ids=parent.predictor.node_ids,
        raw_input=parent.predictor.raw_input,
    )
    attempts = 1 if options.allow_slower else ATTEMPTS
    latency = compare_latency(parent.predictor, variant, exporter.sample(ROWS).request, attempts=attempts)
    if not options.allow_slower:
        latency.check()
    change = Change(
        kind=options.kind,
        parent=parent,
        accuracy=accuracy,
        latency=latency,
        max_worse=options.max_worse,
        model_bytes=len(draft.model),
        settings=draft.settings,
    )
    return draft.with_latency(latency.after).write(
        output,
        optimization=change.record(draft.manifest),
        section=change.section(draft.manifest),
        overwrite=overwrite,
    )
