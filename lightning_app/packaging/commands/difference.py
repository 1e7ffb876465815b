"""Package difference: fields in which two manifests differ, and the difference between their answers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.package import Package
from lightning_app.packaging.runtime.sample import answer_differences, read_sample


@dataclass(frozen=True)
class PackageDifference:
    """Differences between two packages.

    Attributes:
        fields: Manifest field to its value in the first and the second package; an empty string if one lacks it.
        answers: Differences between the answers in words, relative to the largest value, see `Difference`.
        by_output: Output name to difference; empty if the second package cannot answer the sample.
    """

    fields: Mapping[str, tuple[str, str]]
    answers: str
    by_output: Mapping[str, float]

    def as_table(self) -> Table:
        """Table with one row per field."""
        table = Table("field", "first", "second", box=None)
        for field, values in self.fields.items():
            table.add_row(field, *values)
        return table


def compare_packages(one: Package, other: Package) -> PackageDifference:
    """Compares the manifests of two packages, and their answers to the first one's reference sample.

    Args:
        one: First package.
        other: Second package.
    """
    fields, others = flat_fields(one.manifest), flat_fields(other.manifest)
    pairs = {key: (fields.get(key, ""), others.get(key, "")) for key in sorted({*fields, *others})}
    differing = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    sample = read_sample(one.path)
    try:
        differences = answer_differences(other, sample)
    except RequestError as error:
        return PackageDifference(differing, f"the second cannot answer the sample of the first: {error}", {})
    shown = ", ".join(f"{name} {difference}" for name, difference in differences.items())
    answers = f"answers to the {len(sample):,} rows of the sample of the first differ by: {shown}"
    by_output = {name: difference.value for name, difference in differences.items()}
    return PackageDifference(differing, answers, by_output)


def flat_fields(manifest: Manifest) -> dict[str, str]:
    """Flattens a manifest: `metrics.values.test/mse` and the like to its value.

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
