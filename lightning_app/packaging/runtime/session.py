"""ONNX Runtime session of a package, on the CPU."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.onnx_scan import check_onnx

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

_NOWHERE = os.path.join(os.devnull, "nowhere")  # noqa: PTH118  # can never exist: its parent is no folder
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
    """Loads an ONNX file, and checks that its signature is that of the manifest.

    Args:
        content: Content of the ONNX file.
        manifest: Manifest with the expected inputs, outputs and state.
        num_threads: Threads per call.

    Raises:
        UsageError: ONNX Runtime is not installed.
        PackageError: The file cannot be loaded, refers to external data, or has another signature.
    """
    try:
        from onnxruntime import InferenceSession
    except ModuleNotFoundError as error:
        raise UsageError("onnxruntime: not installed; pip install 'lightning-r2p[score]'") from error
    check_onnx(content)
    try:
        # The fallback would only retry with the same provider, and print to stdout.
        session = InferenceSession(
            content, session_options(num_threads), providers=["CPUExecutionProvider"], enable_fallback=0
        )
        inputs = {tensor.name: (tensor.type, tensor.shape) for tensor in session.get_inputs()}
        outputs = {tensor.name: (tensor.type, tensor.shape) for tensor in session.get_outputs()}
    except Exception as error:  # ONNX Runtime has no common exception class
        raise PackageError(f"model.onnx: ONNX Runtime cannot load it: {_first_line(error)}") from error
    stated_inputs = {spec.name: (spec.dtype, spec.shape) for spec in manifest.inputs}
    stated_outputs = {spec.name: (spec.dtype, spec.shape) for spec in manifest.outputs}
    for state in manifest.state:
        stated_inputs[state.input] = stated_outputs[state.output] = (state.dtype, state.shape)
    _compare("inputs", stated_inputs, inputs)
    _compare("outputs", stated_outputs, outputs)
    # The exporter drops inputs that no output depends on, but never outputs.
    if missing := sorted(set(stated_outputs) - set(outputs)):
        raise PackageError(f"outputs: the graph has no {', '.join(missing)}")
    return session


def session_options(num_threads: int) -> "SessionOptions":
    """Session options that accept only ONNX files without external data.

    Args:
        num_threads: Threads per call.
    """
    from onnxruntime import SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are also raised: do not log them too
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # For a model loaded from bytes, external data would be searched in the working directory.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
    return options


def _compare(
    side: str, stated: Mapping[str, tuple[str, tuple[int | str, ...]]], actual: Mapping[str, tuple[str, list[Any]]]
) -> None:
    for name, (kind, sizes) in actual.items():
        if name not in stated:
            raise PackageError(f"{side}: the graph has {name!r}, the manifest lists {', '.join(stated)}")
        dtype, shape = stated[name]
        if _DTYPES.get(kind) != dtype:
            raise PackageError(f"{name}: the graph has {kind}, the manifest {dtype}")
        same = len(sizes) == len(shape) and all(
            size == expected or not isinstance(size, int) for size, expected in zip(sizes, shape, strict=True)
        )
        if not same:
            raise PackageError(f"{name}: the graph has shape {sizes}, the manifest {list(shape)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]
