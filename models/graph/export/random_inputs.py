"""Inputs of graph networks by flat names, and random graphs of other sizes for them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Axes = dict[int, str]
"""By dimension of a tensor, what its size counts, e.g. `{0: "nodes"}`."""


def flatten(inputs: Mapping[str, Any], *, is_leaf: Callable[[Any], bool] | None = None) -> dict[str, Any]:
    """One level instead of two: `{"x": {"author": ...}}` becomes `{"x__author": ...}`.

    Args:
        inputs: Values, or dicts of values, by name.
        is_leaf: Which dicts are values themselves; None says none.
    """
    flat = {}
    for name, value in inputs.items():
        if isinstance(value, Mapping) and not (is_leaf and is_leaf(value)):
            flat.update({f"{name}__{kind}": inner for kind, inner in value.items()})
        else:
            flat[name] = value
    return flat


def random_inputs(example: Mapping[str, Tensor], axes: Mapping[str, Axes], *, seed: int = 0) -> dict[str, Tensor]:
    """A random graph of another size than an example: the later third of its nodes is isolated, some have self-loops.

    What whole numbers mean follows from the names: `graph_id` numbers graphs, `batch` names a graph for each node,
    anything else (2, E) pairs nodes, of the types in its name where it has types.

    Args:
        example: Inputs by flat name.
        axes: By flat name, what their sizes count; graphs of types count `nodes__<type>`.
        seed: Of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes: dict[str, int] = {}
    for name, tensor in example.items():
        for dim, symbol in axes[name].items():
            # Sizes that differ from each other, so that a mix-up of two shows.
            sizes.setdefault(symbol, 3 * tensor.shape[dim] + 14 + 2 * len(sizes))
    inputs = {}
    for name, tensor in example.items():
        shape = [sizes[axes[name][dim]] if dim in axes[name] else size for dim, size in enumerate(tensor.shape)]
        argument, _, kind = name.partition("__")
        if tensor.is_floating_point():
            drawn = torch.rand if argument == "edge_weight" else torch.randn
            inputs[name] = drawn(shape, generator=generator, dtype=tensor.dtype)
        elif argument == "graph_id":
            inputs[name] = torch.arange(shape[0])
        elif argument == "batch":
            inputs[name] = torch.randint(sizes["graphs"], shape, generator=generator).sort().values
        else:
            inputs[name] = _random_edges(kind, shape[1], sizes, generator)
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
