"""Variant of a package: another ONNX file, with new measurements and a new card."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lightning_app.cli.trained_run import TrainedRun
from lightning_app.packaging import Manifest, Package, Predictor, write_package
from lightning_app.packaging.export.evaluation_table import as_parquet, mean_interval, slice_errors
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.latency import latency_entry
from lightning_app.packaging.export.model_card import CardFacts, write_card
from lightning_app.packaging.export.package_run import describe_model
from lightning_app.packaging.export.parity import ROWS
from lightning_app.packaging.monitored.build import drift_files, drift_reference
from lightning_app.packaging.optimize.evaluate_predictor import BATCH_SIZES, evaluate_predictor, measure_distance
from lightning_app.packaging.optimize.parent import check_same_ids
from lightning_app.packaging.runtime.golden import TOLERANCE, make_golden
from lightning_app.packaging.runtime.sample import read_sample

_WHOLE_NUMBER_TOLERANCE = 0.02
"""Of the golden replay of int8: an activation that is rounded the other way on another machine moves the answer."""


@dataclass(frozen=True)
class Draft:
    """A package that was measured, and is not written yet.

    Attributes:
        manifest: Without `optimization`.
        files: Every file but the manifest, and the card where `write_card` is set.
        settings: What else is known of the change.
        write_card: Writes the card once the variant's own latency is in its manifest; None where the variant was
            exported like any package, latency and card included.
    """

    manifest: Manifest
    files: dict[str, bytes | Path]
    settings: dict[str, Any]
    write_card: Callable[[Manifest], bytes] | None = None

    @property
    def model(self) -> bytes:
        """Content of the ONNX file."""
        model = self.files["model.onnx"]
        return model.read_bytes() if isinstance(model, Path) else model

    def with_latency(self, p50_ms: Mapping[str, float]) -> "Draft":
        """The draft with the variant's own latency in its manifest and on its card.

        Args:
            p50_ms: Of the variant, by batch size.
        """
        if self.write_card is None:
            return self
        manifest = replace(self.manifest, latency=latency_entry(p50_ms))
        return replace(self, manifest=manifest, files={**self.files, "MODEL_CARD.md": self.write_card(manifest)})

    def write(self, output: Path, *, optimization: dict[str, Any], section: str, overwrite: bool) -> Package:
        """Writes the package, with what was done to it, and loads it again."""
        card = self.files["MODEL_CARD.md"]
        text = (card.read_bytes() if isinstance(card, Path) else card).decode()
        before, mark, after = text.partition("\n## Limitations\n")
        files = {**self.files, "MODEL_CARD.md": f"{before}\n{section}{mark}{after}".encode()}
        write_package(
            output, manifest=replace(self.manifest, optimization=optimization), files=files, overwrite=overwrite
        )
        return Package.load(output)


@torch.no_grad()
def draft_with(
    model: bytes, *, parent: Package, name: str, kind: str, exporter: Exporter, trained: TrainedRun
) -> Draft:
    """The parent with another ONNX file, measured on the whole test split.

    Args:
        model: The ONNX file.
        parent: The package that it was made from.
        name: Of the variant.
        kind: Of the optimisation.
        exporter: Of the model, with its test split.
        trained: The model, for the card; its weights are not used.
    """
    check_same_ids(parent, exporter)
    manifest = replace(parent.manifest, name=name, files=None)
    predictor = Predictor(
        manifest=manifest,
        model=model,
        tokenizer=parent.tokenizer,
        node_ids=parent.predictor.node_ids,
        raw_input=parent.predictor.raw_input,
    )
    evaluation = evaluate_predictor(exporter, predictor)
    distance = measure_distance(parent.predictor, predictor, exporter.sample(ROWS))
    manifest = replace(
        manifest,
        latency={},
        metrics={**manifest.metrics, "rows": len(evaluation.table), "values": evaluation.values},
        slices=slice_errors(evaluation.table),
        parity={
            "rows": distance.rows,
            "batch_sizes": list(BATCH_SIZES),
            "unseen_sizes": [],
            "max_relative_error": distance.to_parent,
            "metric": {"checkpoint": dict(parent.manifest.metrics["values"]), "package": evaluation.values},
        },
        lineage=_made_from(manifest, parent),
    )
    monitored = exporter.monitored_rows(predictor, evaluation.held_out)
    drift = drift_reference(monitored, manifest)
    facts = CardFacts(
        pipeline_tag=exporter.pipeline_tag,
        model=describe_model(trained.model),
        num_fitted=trained.model.num_fitted,
        interval=mean_interval(evaluation.table["error"].to_numpy(), block=exporter.block),
        error_name=exporter.error_name,
        row_name=exporter.row_name,
        block=exporter.block,
        limitations=(*exporter.limitations, *_limitations(kind, distance.among_batches)),
        model_bytes=len(model),
        importance=drift.importance or {},
        compared_with="its parent",
    )
    request = json.loads((parent.path / "golden.json").read_bytes())["request"]
    sample = read_sample(parent.path)
    files: dict[str, bytes | Path] = {
        **{entry: parent.path / entry for entry in parent.manifest.files or ()},
        **drift_files(monitored, drift),
        "model.onnx": model,
        "reference.parquet": as_parquet(sample.with_columns(predictor.predict(sample))),
        "evaluation.parquet": as_parquet(evaluation.table),
        "golden.json": make_golden(
            predictor, request, tolerance=_WHOLE_NUMBER_TOLERANCE if kind == "int8" else TOLERANCE
        ),
    }
    del files["MODEL_CARD.md"]
    settings = {
        "answers_apart": distance.to_parent,
        "answers_apart_among_batches": distance.among_batches,
    }
    return Draft(manifest, files, settings, partial(write_card, facts=facts, written=trained.card))


def draft_of(package: Package, parent: Package, settings: dict[str, Any]) -> Draft:
    """A package that was exported from a model of its own.

    Args:
        package: As exported.
        parent: What its model was made from.
        settings: What was done.
    """
    lineage = _made_from(package.manifest, parent)
    files: dict[str, bytes | Path] = {entry: package.path / entry for entry in package.manifest.files or ()}
    return Draft(replace(package.manifest, lineage=lineage, files=None), files, settings)


def _made_from(manifest: Manifest, parent: Package) -> dict[str, Any]:
    parents = [*manifest.lineage.get("parents", ()), {"kind": "package", "sha256": parent.digest}]
    return {**manifest.lineage, "parents": parents}


def _limitations(kind: str, among_batches: float) -> tuple[str, ...]:
    if kind != "int8":
        return ()
    return (
        "Activations are scaled by the largest number of a call, so the answer to a row depends a little on the rows "
        f"that it is asked with: by {among_batches:.1e} of the largest number, measured in batches of "
        f"{', '.join(map(str, BATCH_SIZES))}.",
    )
