"""ONNX file of a torch module, which any runtime can read."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_app.errors import UsageError
from lightning_app.errors.error_chain import causes
from lightning_app.packaging.export.onnx_notes import drop_unused_domains, write_notes
from lightning_app.packaging.format.manifest import StateSpec, TensorSpec
from models.onnx_exporter import quiet_exporter

OPSET = 20
_OWN = "output/"
"""Before the names of outputs while the file is written: a value inside the graph may have the same name."""


def write_onnx(
    network: nn.Module,
    example: Sequence[Tensor],
    *,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    state: Sequence[StateSpec] = (),
) -> bytes:
    """Writes a module whose sizes may differ from call to call, as far as the signature names axes.

    Args:
        network: Takes the inputs, then the state, one tensor each; returns a tuple of the outputs, then the next state.
        example: Inputs, then state, to trace it with.
        inputs: Its inputs.
        outputs: Its outputs.
        state: Its state.

    Returns:
        The content of the file; all weights are inside.

    Raises:
        ModuleNotFoundError: onnxscript or onnxruntime is not installed.
        UsageError: Some part of the network has no counterpart in ONNX.
    """
    for package in ("onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"export needs {package}: pip install 'lightning-r2p[export]'")
    taken = [*((spec.name, spec.shape) for spec in inputs), *((spec.input, spec.shape) for spec in state)]
    returned = [*((spec.name, spec.shape) for spec in outputs), *((spec.output, spec.shape) for spec in state)]
    axes: dict[str, Any] = {}
    shapes = tuple(
        {
            dim: axes.setdefault(size, torch.export.Dim(size, min=1))
            for dim, size in enumerate(shape)
            if isinstance(size, str)
        }
        for _, shape in taken
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            with torch.no_grad(), quiet_exporter(), _new_recurrent_kernels():
                # Never dynamo=False: that exporter writes scatter-max as if the initial zeros counted.
                torch.onnx.export(
                    _Positional(network),
                    tuple(example),
                    path,
                    dynamo=True,
                    input_names=[name for name, _ in taken],
                    output_names=[_OWN + name for name, _ in returned],
                    dynamic_shapes=(shapes,),
                    opset_version=OPSET,
                    external_data=False,
                    verbose=False,
                )
        except Exception as error:  # tracing runs the user's network, which may raise anything
            raise UsageError(f"model: it cannot be written as ONNX: {_reason(error)}") from error
        model = _tidy(path, returned)
    write_notes(model, inputs=inputs, outputs=outputs, state=state)
    drop_unused_domains(model)
    return bytes(model.SerializeToString())


@contextlib.contextmanager
def _new_recurrent_kernels() -> Iterator[None]:
    """Drops the cached kernels of recurrent layers, before and after.

    torch.onnx.export replaces them by loops of any length, in `py_kernels` alone (torch/export/_patches.py of 2.13). An
    earlier export, of any model with such a layer, leaves the unrolled kernel in the cache of the operator: the second
    graph would have the length of the example.
    """
    operators: tuple[Any, ...] = (torch.ops.aten.gru.input, torch.ops.aten.lstm.input)
    for operator in operators:
        operator._dispatch_cache.clear()
    try:
        yield
    finally:
        for operator in operators:
            operator._dispatch_cache.clear()


class _Positional(nn.Module):
    """One variadic argument, so that the shapes of all inputs are one tuple."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> Any:
        """What the network returns."""
        return self.network(*tensors)


def _tidy(path: Path, returned: Sequence[tuple[str, tuple[int | str, ...]]]) -> Any:
    """The file with outputs of the sizes of the signature, and without what the exporter noted about our source."""
    import onnx
    from onnx.inliner import inline_local_functions

    model = inline_local_functions(onnx.load(path))
    _forget(model.graph)
    names = {name: f"{name}/inside" for name, _ in returned} | {_OWN + name: name for name, _ in returned}
    _rename(model.graph, {old: new for old, new in names.items() if old not in {one.name for one in model.graph.input}})
    model.graph.doc_string = ""
    del model.metadata_props[:]
    shapes = dict(returned)
    for output in model.graph.output:
        # Tracing fixes what it takes for constant (the length behind an LSTM, say), and the runtime would warn.
        output.type.tensor_type.ClearField("shape")
        for size in shapes[output.name]:
            axis = output.type.tensor_type.shape.dim.add()
            if isinstance(size, int):
                axis.dim_value = size
            else:
                axis.dim_param = size
    return model


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Renames values of a graph and of the graphs inside it."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.get(name, name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)


def _forget(graph: Any) -> None:
    del graph.value_info[:]
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget(attribute.g)


def _reason(error: BaseException) -> str:
    """The innermost cause of what the exporter raises, in one line."""
    *_, first = causes(error, implicit=False)
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    return f"{type(first).__name__}: {lines[0][:300] if lines else ''}"
