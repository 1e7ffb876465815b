"""16-bit weights: half the file, the arithmetic as before."""

from typing import Any

import numpy as np

from lightning_app.errors import UsageError

_FEWEST = 256
"""Smaller tensors stay as they are: statistics and biases, which cost nothing and shift every answer."""


def halve_weights(model: bytes) -> bytes:
    """Stores the weights of a graph in 16 bits, with a cast to 32 bits behind each.

    ONNX Runtime works the casts out once, when the file is loaded; CPUs compute in 32 bits, so that answers take as
    long as before, and inputs and outputs keep their types.

    Args:
        model: An ONNX file.

    Returns:
        The content of the new file.

    Raises:
        UsageError: It has no weights that are worth it.
    """
    import onnx

    graph_model = onnx.load_from_string(model)
    count = _halve(graph_model.graph)
    if not count:
        raise UsageError(f"optimize: fp16 given, but the graph has no weights of {_FEWEST} numbers or more")
    return bytes(graph_model.SerializeToString())


def _halve(graph: Any) -> int:
    """Halves the weights of a graph and of those inside its nodes; returns how many tensors."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        half = _as_half(numpy_helper.to_array(tensor))
        if half is None:
            continue
        name = tensor.name
        stored = f"{name}.half"
        tensor.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    inner = sum(_halve(attribute.g) for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    return len(casts) + inner


def _as_half(weights: np.ndarray) -> np.ndarray | None:
    """The weights in 16 bits; None where they are few, or 16 bits cannot hold them."""
    if weights.size < _FEWEST or not np.isfinite(weights).all():
        return None
    with np.errstate(over="ignore"):
        half = weights.astype(np.float16)
    return half if np.isfinite(half).all() else None
