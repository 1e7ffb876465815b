"""Answer schema: the JSON of predictions, from an answer of the package to its sample request, else its outputs."""

from collections.abc import Mapping
from typing import Any

from lightning_app.packaging import Package
from lightning_app.packaging.format.decision import Decision
from lightning_app.packaging.runtime.labels import names_of
from lightning_app.packaging.runtime.row_ids import node_inputs
from lightning_app.serving.inference.loaded_model import Predictions
from lightning_app.serving.pages.request_schema import Schema


def answer_schema(package: Package, sample: "Predictions | None") -> Schema:
    """Schema of an answer: predictions, who made them, and notes.

    Args:
        package: A loaded package.
        sample: Predictions for its sample request; None if it has none.
    """
    rows = [_of_outputs(package)]
    if package.manifest.raw_input is not None and sample is not None:
        rows.insert(0, _of_sample(sample))
    forms = [form for row in rows for form in (_records(row), _columns(row))]
    properties: dict[str, Schema] = {
        "model": {"type": "string", "description": "Name of the model."},
        "version": {"type": ["integer", "null"], "description": "Version in the registry; null for a folder."},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "sha256 of the package's manifest."},
        "arm": {"type": "string", "description": "Arm that answered."},
        "request_id": {"type": "string"},
        "predictions": {
            "anyOf": forms,
            "description": "Records, or columns if the request has columns.",
        },
        "notes": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What was filled, dropped, or not read.",
        },
    }
    required = list(properties)
    properties["degraded"] = {"type": "string", "description": "Why another than the model answered; else left out."}
    if package.manifest.state:
        properties["state"] = {"type": "string", "description": "Send it with the next chunk of the stream."}
    return {"type": "object", "required": required, "properties": properties}


def _records(row: dict[str, Schema]) -> Schema:
    return {"title": "Records", "type": "array", "items": {"type": "object", "required": list(row), "properties": row}}


def _columns(row: dict[str, Schema]) -> Schema:
    columns = {name: {"type": "array", "items": value} for name, value in row.items()}
    return {"title": "Columns", "type": "object", "required": list(row), "properties": columns}


def _of_outputs(package: Package) -> dict[str, Schema]:
    manifest = package.manifest
    values: dict[str, Schema] = {}
    for name in node_inputs(manifest):
        values[name] = {"type": ["string", "integer"], "description": "The node that was asked about."}
    in_graph = 1 if manifest.layout == "graphs" and manifest.outputs[0].shape[0] == "nodes" else 0
    for decision in manifest.all_decisions:
        values |= _of_decision(decision, in_graph)
    for spec in manifest.outputs:
        value: Schema = {"type": "boolean" if spec.dtype == "bool" else "integer" if "int" in spec.dtype else "number"}
        words = [spec.unit] if spec.unit else []
        if spec.levels is not None:
            words.append(f"quantiles {_some(spec.levels)} along the last axis")
        if spec.columns is not None:
            words.append(f"{_some(spec.columns)} along the {'axis before it' if spec.levels else 'last axis'}")
        for size in reversed(spec.shape[0 if in_graph else 1 :]):
            fixed = {"minItems": size, "maxItems": size} if isinstance(size, int) else {}
            value = {"type": "array", **fixed, "items": value}
        values[spec.name] = {**value, **({"description": "; ".join(words)} if words else {})}
    return values


def _of_decision(decision: Decision, in_graph: int) -> dict[str, Schema]:
    thresholds = [] if decision.thresholds is None else [f"{threshold:.4g}" for threshold in decision.thresholds]
    label: Schema = {"type": "string", "enum": list(decision.labels)}
    if decision.several:
        described = f"The labels whose probability is above {', '.join(thresholds)}."
        return {names_of(decision)[0]: {"type": "array", "items": label, "description": described}}
    label["description"] = "The likeliest class."
    if thresholds:
        label["description"] = f"{decision.labels[1]!r} where its probability is above {thresholds[0]}."
    probability: Schema = {"type": "number", "description": "Probability of the class that is answered."}
    for _ in range(in_graph):
        label, probability = ({"type": "array", "items": item} for item in (label, probability))
    return dict(zip(names_of(decision), (label, probability), strict=True))


def _of_sample(sample: Predictions) -> dict[str, Schema]:
    if isinstance(sample, Mapping):
        return {name: {} for name in sample}
    return {name: _of_column(dtype) for name, dtype in sample.schema.items()}


def _of_column(dtype: Any) -> Schema:
    inner = getattr(dtype, "inner", None)
    if inner is not None:
        return {"type": "array", "items": _of_column(inner)}
    if dtype.is_integer():
        return {"type": ["integer", "null"]}
    if dtype.is_numeric():
        return {"type": ["number", "null"]}
    return {"type": ["boolean", "null"] if str(dtype) == "Boolean" else ["string", "null"]}


def _some(values: Any) -> str:
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values[:12]]
    return ", ".join(shown) + (" ..." if len(values) > 12 else "")
