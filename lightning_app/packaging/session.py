"""One ONNX Runtime session on the CPU."""

from typing import TYPE_CHECKING

from lightning_app.packaging.errors import PackageError
from lightning_app.packaging.manifest import Manifest
from lightning_app.packaging.onnx_scan import check_onnx

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_DTYPES = {
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def open_session(content: bytes, manifest: Manifest, *, num_threads: int) -> "InferenceSession":
    """Loads an ONNX file that does what its manifest says.

    Args:
        content: The ONNX file.
        manifest: Whose inputs, outputs and state it must have.
        num_threads: Threads of one call.

    Raises:
        PackageError: The file cannot be loaded, reaches outside of itself, or has another signature.
    """
    from onnxruntime import InferenceSession, SessionOptions

    check_onnx(content)
    options = SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is said once, by the exception
    try:
        session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no class of their own in common
        raise PackageError(f"model.onnx: ONNX Runtime cannot load it: {_first_line(error)}") from error
    _check_signature(session, manifest)
    return session


def _check_signature(session: "InferenceSession", manifest: Manifest) -> None:
    stated_inputs = {spec.name: (spec.dtype, spec.shape) for spec in manifest.inputs}
    stated_outputs = {spec.name: (spec.dtype, spec.shape) for spec in manifest.outputs}
    for state in manifest.state:
        stated_inputs[state.input] = stated_outputs[state.output] = (state.dtype, state.shape)
    # An input that no output depends on is not in the graph; an output always is.
    sides = (("inputs", stated_inputs, session.get_inputs()), ("outputs", stated_outputs, session.get_outputs()))
    for side, stated, found in sides:
        for tensor in found:
            if tensor.name not in stated:
                raise PackageError(f"{side}: the graph has {tensor.name!r}, the manifest knows {', '.join(stated)}")
            dtype, shape = stated[tensor.name]
            if _DTYPES.get(tensor.type) != dtype:
                raise PackageError(f"{tensor.name}: the graph has {tensor.type}, the manifest {dtype}")
            sizes = [size if isinstance(size, int) else None for size in tensor.shape]
            if len(sizes) != len(shape) or any(
                size is not None and size != wanted for size, wanted in zip(sizes, shape, strict=False)
            ):
                raise PackageError(f"{tensor.name}: the graph has shape {tensor.shape}, the manifest {list(shape)}")
    missing = set(stated_outputs) - {tensor.name for tensor in session.get_outputs()}
    if missing:
        raise PackageError(f"outputs: the graph has no {', '.join(sorted(missing))}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500] if str(error).strip() else type(error).__name__
