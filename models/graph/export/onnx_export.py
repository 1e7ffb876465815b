"""ONNX export of graph networks, for graphs of any size."""

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.graph.export.random_inputs import Axes, flatten, random_inputs
from models.onnx_exporter import quiet_exporter

OPSET = 18
TOLERANCE = 1e-4
"""Largest allowed difference between the ONNX file and the module, relative to the largest output."""


class Exportable(Protocol):
    """A module that describes its inputs, such as `NodeClassifier` and `GraphPredictor`."""

    training: bool
    eval: Callable[[], Any]
    train: Callable[[bool], Any]
    named_modules: Callable[[], Iterator[tuple[str, nn.Module]]]

    def __call__(self, **inputs: Any) -> Tensor:
        """Computes the outputs."""

    def example_inputs(self) -> dict[str, Any]:
        """Inputs of `forward` by name; dicts of tensors by type for heterogeneous graphs."""

    def dynamic_axes(self) -> dict[str, Any]:
        """Dynamic axes of each input, e.g. `{"x": {0: "nodes"}}`."""


def export_onnx(module: Exportable, path: str | Path, *, inputs: Mapping[str, Any] | None = None) -> float:
    """Exports a module to one ONNX file for graphs of any size, and compares the two on another graph.

    Inputs of the file are named like the arguments of `forward`; for heterogeneous graphs, the argument and the type:
    `x__author`, `edge_index__author__writes__paper`. The file is written only if the outputs agree.

    Args:
        module: Module to export; on the CPU.
        path: Output file.
        inputs: Example inputs for tracing; None for `module.example_inputs()`. Include `edge_weight` for a file that
            takes edge weights.

    Returns:
        Largest difference between file and module on a graph of another size, with isolated nodes and self-loops.

    Raises:
        ModuleNotFoundError: onnxscript or onnxruntime is not installed.
        ValueError: The module caches graphs, a decoder of it reads edges, or its outputs are not deterministic.
        RuntimeError: File and module disagree.
    """
    for package in ("onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"Export needs {package}: pip install 'lightning-r2p[graph,export]'")
    _refuse_cached_graphs(module)
    _refuse_edge_readers(module)
    flat_inputs = flatten(module.example_inputs() if inputs is None else inputs)
    # Clones, because torch.export merges inputs that share memory.
    example = {name: tensor.clone() for name, tensor in flat_inputs.items()}
    given_axes = flatten(module.dynamic_axes(), is_leaf=_is_axes)
    axes: dict[str, Axes] = {name: given_axes.get(name, {}) for name in example}
    other = random_inputs(example, axes)
    flat = _FlatInputs(module, list(example))
    was_training = module.training
    module.eval()
    try:
        expected = _outputs(flat, example, other)
        partial = Path(path).with_name(f".{Path(path).name}.partial")
        try:
            _write(flat, example, axes, partial)
            difference = _largest_difference(partial, other, expected)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    finally:
        module.train(was_training)
    return difference


class _FlatInputs(nn.Module):
    """Wraps a module so that its inputs are positional tensors, since ONNX has neither dicts nor argument names."""

    def __init__(self, module: Exportable, names: list[str]) -> None:
        super().__init__()
        self.module = cast(nn.Module, module)
        self.names = names

    @override
    def forward(self, *tensors: Tensor) -> Tensor:
        inputs: dict[str, Any] = {}
        for name, tensor in zip(self.names, tensors, strict=True):
            argument, _, type_name = name.partition("__")
            if type_name:
                inputs.setdefault(argument, {})[type_name] = tensor
            else:
                inputs[argument] = tensor
        return self.module(**inputs)


def _is_axes(value: Any) -> bool:
    return all(isinstance(key, int) for key in value)


def _refuse_cached_graphs(module: Exportable) -> None:
    for name, layer in module.named_modules():
        if getattr(layer, "cached", False):
            raise ValueError(
                f"model.{name}: {type(layer).__name__} was made with cached=True and uses the edges of the first "
                "graph for every other one; make it with cached=False, which has the same weights"
            )


def _refuse_edge_readers(module: Exportable) -> None:
    for name, layer in module.named_modules():
        if getattr(layer, "reads_edges", False):
            raise ValueError(
                f"model.{name}: {type(layer).__name__} computes features of pairs from all edges, which ONNX cannot "
                "express; export a model with another decoder"
            )


@torch.no_grad()
def _outputs(flat: _FlatInputs, example: dict[str, Tensor], other: dict[str, Tensor]) -> Tensor:
    """The module's outputs for `other`; raises if they depend on earlier calls."""
    first = flat(*other.values())
    flat(*example.values())
    if not torch.equal(first, flat(*other.values())):
        raise ValueError(
            f"model: {type(flat.module).__name__} gives different outputs for the same inputs in evaluation; take out "
            "what is random or is kept from earlier graphs"
        )
    return first


def _write(flat: _FlatInputs, example: dict[str, Tensor], axes: dict[str, Axes], path: Path) -> None:
    symbols: dict[str, Any] = {}
    shapes = tuple(
        {dim: symbols.setdefault(symbol, torch.export.Dim(symbol, min=1)) for dim, symbol in axes[name].items()}
        for name in example
    )
    with quiet_exporter():
        # Never dynamo=False: that exporter silently exports scatter-max as if the initial zeros were values.
        torch.onnx.export(
            flat,
            tuple(example.values()),
            path,
            dynamo=True,
            input_names=list(example),
            output_names=["output"],
            dynamic_shapes=(shapes,),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )


def _largest_difference(path: Path, inputs: dict[str, Tensor], expected: Tensor) -> float:
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    used_names = {taken.name for taken in session.get_inputs()}  # inputs that no output depends on are dropped
    (outputs,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items() if name in used_names})
    difference = float((torch.from_numpy(outputs) - expected).abs().max())
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    if outputs.shape != tuple(expected.shape) or not difference <= allowed:
        raise RuntimeError(
            f"The ONNX file does not agree with the module: on a graph of another size their outputs differ by up to "
            f"{difference:.3g}, {allowed:.3g} is allowed. Nothing was written."
        )
    return difference
