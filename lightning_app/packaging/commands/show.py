"""Package summary: prints one package as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Column, Table

from lightning_app.drift.reference import Reference
from lightning_app.packaging.format.drift_files import NO_REFERENCE
from lightning_app.packaging.format.folder import SIGNATURE
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.raw_input import RawInputSpec, needed_rows
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.package import Package
from lightning_app.terminal import plain_console, show


def show_package(package: Package) -> None:
    """Prints task, signature, metrics and lineage of a package.

    Args:
        package: The package.
    """
    console = plain_console()
    manifest = package.manifest
    size = sum(entry.bytes for entry in (manifest.files or {}).values())
    console.print(f"{manifest.name}: {manifest.task.replace('_', ' ')} ({manifest.family}), layout {manifest.layout}")
    console.print(f"digest {package.digest}, {size / 2**20:.2f} MiB in {len(manifest.files or {}) + 1} files")
    if (package.path / SIGNATURE).is_file():
        console.print("signed; package verify --trusted-key PEM checks by whom")
    rows = Table("", Column("", overflow="fold"), box=None, show_header=False)
    for key, value in _facts(manifest):
        rows.add_row(key, value)
    reference = package.drift_reference()
    rows.add_row("drift reference", NO_REFERENCE if reference is None else _of_reference(reference))
    importance = [] if reference is None or not reference.importance else [_importance(reference.importance)]
    if manifest.raw_input is None:
        show(_tensors(manifest), *importance, rows)
        return
    console.print(f"raw rows: a table with these columns, at least {needed_rows(manifest.raw_input)}")
    show(_raw_columns(manifest.raw_input), _tensors(manifest), *importance, rows)


def _raw_columns(raw_input: RawInputSpec) -> Table:
    several = any(column.table is not None for column in raw_input.columns)
    table = Table(*(["table"] if several else []), "column", "type", "role", "unit or format", "needed", box=None)
    for column in raw_input.columns:
        first = [column.table or ""] if several else []
        needed = "yes" if column.required else "no"
        table.add_row(*first, column.name, column.type, column.role, column.unit or "", needed)
    return table


def _of_reference(reference: Reference) -> str:
    shown = f"{reference.rows:,} held-out rows, {len(reference.columns)} watched columns"
    if reference.importance:
        return shown
    return f"{shown}; importance of columns not measured: one column, ids alone, too few rows, or no error grew"


def _importance(importance: Mapping[str, float], most: int = 12) -> Table:
    """Columns of requests by their share in the skill of the model, the most important first."""
    table = Table("column", "importance", box=None)
    ranked = sorted(importance.items(), key=lambda item: -item[1])
    for name, share in ranked[:most]:
        table.add_row(name, f"{share:.1%}")
    if len(ranked) > most:
        table.add_row(f"{len(ranked) - most} more", f"{sum(share for _, share in ranked[most:]):.1%}")
    return table


def _tensors(manifest: Manifest) -> Table:
    table = Table("", "name", "shape", "dtype", "unit", "along the last axes", box=None)
    for side, specs in (("in", manifest.inputs), ("out", manifest.outputs)):
        for spec in specs:
            table.add_row(side, spec.name, _shape(spec.shape), spec.dtype, spec.unit or "", _axes(spec))
    for state in manifest.state:
        table.add_row("state", state.input, _shape(state.shape), state.dtype, "", f"starts at {state.initial:g}")
    return table


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.labels is not None:
        yield "labels", _some(manifest.labels)
    for decision in manifest.decisions:
        yield f"answers {decision.prefix.rstrip('.')}".rstrip(), decision.describe()
    if manifest.node_ids is not None:
        kind = "texts" if manifest.node_ids.dtype == "text" else "whole numbers"
        yield "node ids", f"{manifest.node_ids.num_nodes:,} {kind}, for {', '.join(manifest.node_ids.inputs)}"
    split = manifest.metrics.get("split", "test")
    for name, value in manifest.metrics["values"].items():
        yield name, f"{value:.6g} ({manifest.metrics['better'][name]} is better)"
    yield "measured on", f"{manifest.metrics.get('rows', 0):,} rows of {split}"
    for name, slices in manifest.slices.items():
        yield f"error by {name}", ", ".join(f"{value} {slice_['error']:.4g}" for value, slice_ in slices.items())
    if error := manifest.parity.get("max_relative_error"):
        yield "parity", f"{error:.2g} of the largest output from the checkpoint"
    if raw_rows := manifest.parity.get("raw_rows"):
        yield "parity of raw rows", f"{raw_rows['max_relative_error']:.2g} over {raw_rows['rows']:,} rows"
    for key, value in manifest.latency.get("p50_ms", {}).items():
        yield f"latency of {key} rows", f"{value:.3g} ms (median)"
    if manifest.optimization is not None:
        yield "optimization", _words(manifest.optimization)
    for key, value in manifest.lineage.items():
        if value not in (None, [], {}):
            yield key, _words(value)
    missing = manifest.card.get("missing") or ()
    yield "model card", "complete" if manifest.card["complete"] else f"lacks {', '.join(missing)}"


def _shape(shape: tuple[int | str, ...]) -> str:
    return " x ".join(map(str, shape))


def _axes(spec: TensorSpec) -> str:
    parts = [_some(spec.columns)] if spec.columns is not None else []
    if spec.levels is not None:
        parts.append("levels " + ", ".join(f"{level:g}" for level in spec.levels))
    return "; ".join(parts)


def _some(names: tuple[str, ...], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items() if inner is not None)
    return ", ".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)
