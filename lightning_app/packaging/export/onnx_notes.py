"""Notes in an ONNX file: units, columns and quantile levels of its tensors, for tools that read the file alone."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lightning_app.packaging.format.signature import StateSpec, TensorSpec

if TYPE_CHECKING:
    from onnx import ModelProto

KEY = "lightning_app.signature"
"""Of the model's metadata: what the manifest says of each tensor, as JSON by name."""


def write_notes(
    model: "ModelProto", *, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], state: Sequence[StateSpec]
) -> None:
    """Writes the meaning of each tensor as its doc string, and all of them as metadata.

    Args:
        model: An ONNX file, changed in place.
        inputs: Its inputs.
        outputs: Its outputs.
        state: Its state.
    """
    texts = {spec.name: _words(spec) for spec in (*inputs, *outputs)}
    for spec in state:
        texts[spec.input] = f"state, {spec.initial:g} at the start of a stream"
        texts[spec.output] = f"state, the next {spec.input}"
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = texts.get(value.name, "")
    facts = {
        spec.name: {"unit": spec.unit, "columns": spec.columns, "levels": spec.levels} for spec in (*inputs, *outputs)
    }
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(facts, sort_keys=True, ensure_ascii=False)


def copy_notes(source: "ModelProto", target: "ModelProto") -> None:
    """Replaces the notes of a model by those of another.

    Args:
        source: The model with the notes.
        target: Changed in place.
    """
    texts = {value.name: value.doc_string for value in (*source.graph.input, *source.graph.output)}
    for value in (*target.graph.input, *target.graph.output):
        value.doc_string = texts.get(value.name, "")
    del target.metadata_props[:]
    target.metadata_props.extend(source.metadata_props)


def drop_unused_domains(model: "ModelProto") -> None:
    """Takes out the domains that a model imports and does not use.

    Args:
        model: An ONNX file, changed in place.
    """
    used = {_plain(node.domain) for node in _nodes(model.graph)}
    for function in model.functions:
        used |= {_plain(node.domain) for node in _nodes(function)}
    kept = [entry for entry in model.opset_import if _plain(entry.domain) in {"", *used}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _nodes(graph: Any) -> Iterable[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _words(spec: TensorSpec) -> str:
    parts = [] if spec.unit is None else [f"unit: {spec.unit}"]
    if spec.columns is not None:
        parts.append(f"columns: {', '.join(spec.columns)}")
    if spec.levels is not None:
        parts.append(f"quantile levels: {', '.join(f'{level:g}' for level in spec.levels)}")
    return "; ".join(parts)
