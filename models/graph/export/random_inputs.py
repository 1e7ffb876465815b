"""Random graphs as inputs of a graph network, by flat input names."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Axes = dict[int, str]
"""What the size of each dynamic dimension counts, e.g. `{0: "nodes"}`."""


def flatten(inputs: Mapping[str, Any], *, is_leaf: Callable[[Any], bool] | None = None) -> dict[str, Any]:
    """Flattens two levels of names: `{"x": {"author": ...}}` becomes `{"x__author": ...}`.

    Args:
        inputs: Values, or dicts of values, by name.
        is_leaf: Whether a dict is a value itself; None for never.
    """
    flat = {}
    for name, value in inputs.items():
        if isinstance(value, Mapping) and not (is_leaf and is_leaf(value)):
            flat.update({f"{name}__{type_name}": inner for type_name, inner in value.items()})
        else:
            flat[name] = value
    return flat


def random_inputs(example: Mapping[str, Tensor], axes: Mapping[str, Axes], *, seed: int = 0) -> dict[str, Tensor]:
    """Generates a random graph of another size than an example; its last third of nodes is isolated, some have loops.

    Integer inputs are recognised by name: `graph_id` numbers the graphs, `batch` is the graph index of each node, and
    anything else (2, E) holds edges, between the node types in its name for heterogeneous graphs.

    Args:
        example: Inputs by flat name.
        axes: Dynamic axes by flat name; heterogeneous graphs count `nodes__<type>`.
        seed: Random seed.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes: dict[str, int] = {}
    for name, tensor in example.items():
        for dim, symbol in axes[name].items():
            # Sizes differ from each other, so that swapped dimensions are detected.
            sizes.setdefault(symbol, 3 * tensor.shape[dim] + 14 + 2 * len(sizes))
    inputs = {}
    for name, tensor in example.items():
        shape = [sizes[axes[name][dim]] if dim in axes[name] else size for dim, size in enumerate(tensor.shape)]
        argument, _, type_name = name.partition("__")
        if tensor.is_floating_point():
            random = torch.rand if argument == "edge_weight" else torch.randn
            inputs[name] = random(shape, generator=generator, dtype=tensor.dtype)
        elif argument == "graph_id":
            inputs[name] = torch.arange(shape[0])
        elif argument == "batch":
            inputs[name] = torch.randint(sizes["graphs"], shape, generator=generator).sort().values
        else:
            inputs[name] = _random_edges(type_name, shape[1], sizes, generator)
    return inputs


def _random_edges(edge_type: str, num_edges: int, sizes: Mapping[str, int], generator: torch.Generator) -> Tensor:
    """int64 (2, E)."""
    source_type, _, rest = edge_type.partition("__")
    ends = ["nodes", "nodes"]
    if edge_type:
        ends = [f"nodes__{source_type}", f"nodes__{rest.rpartition('__')[2]}"]
    edges = torch.stack([torch.randint(2 * sizes[end] // 3, (num_edges,), generator=generator) for end in ends])
    if ends[0] == ends[1]:
        edges[1, ::7] = edges[0, ::7]
    return edges
