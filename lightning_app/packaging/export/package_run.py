"""Export of a trained run as a verified package."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_app.cli.trained_run import TrainedObject, TrainedRun
from lightning_app.errors import UsageError
from lightning_app.packaging import Manifest, Package, Predictor, write_package
from lightning_app.packaging.export.evaluation_table import (
    as_parquet,
    mean_interval,
    reference_table,
    slice_errors,
)
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.find_exporter import exporter_for
from lightning_app.packaging.export.latency import latency_entry, measure_latency
from lightning_app.packaging.export.measurements import measure
from lightning_app.packaging.export.model_card import CardFacts, write_card
from lightning_app.packaging.export.package_lineage import package_lineage
from lightning_app.packaging.format.manifest import TOKENIZER, TensorSpec
from lightning_app.packaging.format.node_ids import NODE_IDS
from lightning_app.packaging.monitored.build import drift_files, drift_reference
from lightning_app.packaging.monitored.importance import MOST_ROWS, importance_rows
from lightning_app.packaging.runtime.golden import make_golden
from lightning_app.packaging.runtime.raw_contract import CONTRACT, contract_file
from lightning_app.packaging.runtime.raw_input import load_raw_input
from lightning_app.runs.run_folder import run_folder_of
from models import BaseModule
from models.network_arguments import network_arguments

_REFERENCE_VALUES = 2**23
"""Most numbers in the reference sample: 32 MB."""


@torch.no_grad()
def export_package(
    trained: TrainedRun | TrainedObject, output: Path, *, name: str, sample: int = 2000, overwrite: bool = False
) -> Package:
    """Makes a package of a checkpoint, and loads it again.

    Args:
        trained: The checkpoint with its model and data, or a module and data of a Python program.
        output: Folder of the package.
        name: Of the package.
        sample: Most rows of the reference sample.
        overwrite: Replace a package that is there.

    Returns:
        The package, verified and loaded.

    Raises:
        UsageError: The model cannot be exported; nothing is written.
        ParityError: The package does not answer as the checkpoint; nothing is written.
    """
    module, data = trained.model, trained.datamodule
    data.prepare_data()
    data.setup("test")
    differences = trained.differences() if isinstance(trained, TrainedRun) else []
    exporter = exporter_for(module, data)
    print(f"export: {describe_model(module)} to ONNX", flush=True)  # noqa: T201
    model = exporter.onnx()
    config = yaml.safe_dump(trained.resolved, sort_keys=False).encode()
    checkpoint = trained.source.path if isinstance(trained, TrainedRun) else None
    manifest = _draft(
        exporter,
        name=name,
        protocol=data.protocol(),
        lineage=package_lineage(
            run=None if checkpoint is None else run_folder_of(checkpoint),
            checkpoint=checkpoint,
            config=config,
            data=data.fingerprint(),
            seed=trained.resolved.get("seed_everything"),
            members=getattr(module, "members", ()),
            differences=differences,
        ),
        missing=trained.card.missing,
    )
    raw_input = exporter.raw_input
    predictor = Predictor(
        manifest=manifest,
        model=model,
        tokenizer=exporter.tokenizer,
        node_ids=exporter.node_ids,
        raw_input=None if raw_input is None else load_raw_input(manifest, raw_input[1]),
    )

    measured = measure(exporter, predictor)
    (p50_ms,) = measure_latency([predictor], measured.sample.request)
    manifest = replace(
        manifest,
        metrics={**manifest.metrics, **measured.metrics},
        slices=slice_errors(measured.table),
        parity=measured.parity,
        latency=latency_entry(p50_ms),
    )
    monitored = exporter.monitored_rows(predictor, measured.held_out)
    drift = drift_reference(monitored, manifest)
    asked = importance_rows(monitored) or 0
    if drift.importance and asked < min(len(monitored), MOST_ROWS):
        few = f"{asked:,} of {len(monitored):,} rows"
        print(f"export: importance of columns measured on {few}, more would take long", flush=True)  # noqa: T201
    reference = exporter.sample(_reference_rows(exporter, sample))
    facts = CardFacts(
        pipeline_tag=exporter.pipeline_tag,
        model=describe_model(module),
        num_fitted=module.num_fitted,
        interval=mean_interval(measured.table["error"].to_numpy(), block=exporter.block),
        error_name=exporter.error_name,
        row_name=exporter.row_name,
        block=exporter.block,
        limitations=exporter.limitations,
        model_bytes=len(model),
        importance=drift.importance or {},
        importance_rows=asked,
    )
    files: dict[str, bytes | Path] = {
        **drift_files(monitored, drift),
        "model.onnx": model,
        "config.yaml": config,
        "reference.parquet": as_parquet(reference_table(reference, predictor, measured.held_out)),
        "evaluation.parquet": as_parquet(measured.table),
        "golden.json": make_golden(predictor, exporter.golden_request(measured.sample)),
        "MODEL_CARD.md": write_card(manifest, facts, trained.card),
    }
    if exporter.tokenizer is not None:
        files["tokenizer.json"] = exporter.tokenizer.to_json()
    if exporter.node_ids is not None:
        files[NODE_IDS] = exporter.node_ids.to_parquet()
    if raw_input is not None:
        files |= raw_input[1]
    if data.contract is not None:
        needed = None if raw_input is None else tuple(one.name for one in raw_input[0].columns if one.required)
        files[CONTRACT] = contract_file(data.contract, needed=needed)
    extra_files = exporter.extra_files
    if clash := sorted(extra_files.keys() & files.keys()):
        names = ", ".join(clash)
        raise UsageError(
            f"export: {type(exporter).__name__}.extra_files has {names}, which every package has; rename it"
        )
    files |= extra_files
    write_package(output, manifest=manifest, files=files, overwrite=overwrite)
    return Package.load(output)


def _draft(
    exporter: Exporter, *, name: str, protocol: dict[str, Any], lineage: dict[str, Any], missing: tuple[str, ...]
) -> Manifest:
    """The manifest as far as it is known before anything was measured."""
    raw_input = exporter.raw_input
    manifest = Manifest(
        name=name,
        family=exporter.family,
        task=exporter.task,
        layout=exporter.layout,
        inputs=exporter.inputs,
        outputs=exporter.outputs,
        state=exporter.state,
        labels=exporter.labels,
        decisions=exporter.decisions,
        tokenizer=None if exporter.tokenizer is None else TOKENIZER,
        node_ids=None if exporter.node_ids is None else exporter.node_ids.spec(_names(exporter.inputs)),
        raw_input=None if raw_input is None else raw_input[0],
        metrics={"split": "test", "protocol": protocol, "rows": 0, "values": {}, "better": {}},
        slices={},
        lineage=lineage,
        parity={},
        latency={},
        card={"complete": not missing, "missing": list(missing)},
    )
    manifest.check()
    if manifest.block == 1 < exporter.block:
        manifest = replace(manifest, metrics={**manifest.metrics, "block": exporter.block})
    return manifest


def _names(specs: tuple[TensorSpec, ...]) -> tuple[str, ...]:
    return tuple(spec.name for spec in specs)


def _reference_rows(exporter: Exporter, asked: int) -> int:
    """As many rows as were asked for, or as many as fit."""
    return max(1, min(asked, _REFERENCE_VALUES // exporter.values_per_row))


def describe_model(module: BaseModule) -> str:
    """Class of a model, and of its network: the first of its modules that is no loss."""
    names = [name for name in network_arguments(type(module)) if name != "loss"]
    network = getattr(module, names[0], None) if names else None
    return type(module).__name__ + (f"({type(network).__name__})" if network is not None else "")
