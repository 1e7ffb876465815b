"""What two packages differ in."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Column, Table

from lightning_app.packaging.errors import RequestError
from lightning_app.packaging.manifest import Manifest
from lightning_app.packaging.package import Package
from lightning_app.packaging.sample import answer_differences, read_sample


def compare_packages(one: Package, other: Package) -> tuple[Table, str]:
    """Fields of the manifests that differ, and how far the answers are apart.

    Args:
        one: The first package; its sample is what both are asked.
        other: The second.

    Returns:
        fields: A row per field that differs.
        answers: In words; numbers are in units of the largest, see `Difference`.
    """
    table = Table(*(Column(name, overflow="fold") for name in ("field", "first", "second")), box=None)
    fields, others = flat_fields(one.manifest), flat_fields(other.manifest)
    for key in sorted({*fields, *others}):
        if fields.get(key, "") != others.get(key, ""):
            table.add_row(key, fields.get(key, ""), others.get(key, ""))
    sample = read_sample(one.path)
    try:
        differences = answer_differences(other, sample)
    except RequestError as error:
        return table, f"the second cannot answer the sample of the first: {error}"
    shown = ", ".join(f"{name} {difference}" for name, difference in differences.items())
    return table, f"answers to the {len(sample):,} rows of the sample of the first differ by: {shown}"


def flat_fields(manifest: Manifest) -> dict[str, str]:
    """A manifest as a line per field: `metrics.values.test/mse` and its value.

    Args:
        manifest: The manifest.
    """
    content = asdict(manifest)
    for key in ("inputs", "outputs"):
        content[key] = {spec["name"]: spec for spec in content[key]}
    content["files"] = {
        name: f"{file['bytes']:,} bytes, sha256 {file['sha256'][:12]}..." for name, file in content["files"].items()
    }
    content["state"] = {state["input"]: state for state in content["state"]}
    flat: dict[str, str] = {}
    _flatten(content, "", flat)
    return flat


def _flatten(value: Any, key: str, flat: dict[str, str]) -> None:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _flatten(inner, f"{key}.{name}" if key else str(name), flat)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        flat[key] = text if len(text) <= 80 else text[:77] + "..."
