"""8-bit weights: matrix products and LSTMs with whole numbers, activations scaled as they come."""

import tempfile
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.packaging.export.onnx_notes import copy_notes, drop_unused_domains
from models.onnx_exporter import quiet_exporter

_OPERATIONS = ("MatMul", "LSTM")
"""Not Conv: its products of whole numbers are slower than its floats on CPUs."""
_INCOMPLETE = "Incomplete symbolic shape inference"
_QUANTIZED = ("MatMulInteger", "DynamicQuantizeLSTM")


def quantize_weights(model: bytes) -> bytes:
    """Makes the weights of matrix products and LSTMs 8-bit, a scale per output channel.

    Weights use 7 of their 8 bits: products of 8 bits overflow on CPUs without VNNI, where the same package would then
    answer otherwise.

    Args:
        model: An ONNX file.

    Returns:
        The content of the new file.

    Raises:
        UsageError: There is nothing in it to quantize.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, quiet_exporter():
        paths = [Path(folder) / name for name in ("model.onnx", "prepared.onnx", "int8.onnx")]
        paths[0].write_bytes(model)
        # Without it the quantizer stops at the first product of a graph of the dynamo exporter: "ShapeInferenceError".
        skips = _has_loops(onnx.load(paths[0]).graph)
        try:
            quant_pre_process(paths[0], paths[1], skip_symbolic_shape=skips)
        except Exception as error:  # it raises plain Exceptions, for the masks of attention among others
            if skips or _INCOMPLETE not in str(error):
                raise
            quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True)
        quantize_dynamic(
            paths[1],
            paths[2],
            op_types_to_quantize=list(_OPERATIONS),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        found = onnx.load(paths[2])
    if not any(node.op_type in _QUANTIZED for node in found.graph.node):
        raise UsageError(
            "optimize: int8 given, but the graph has no matrix product or LSTM with fixed weights outside of a loop "
            "(of a fixed graph the package holds the encoded nodes, a recursion is a loop); take fp16"
        )
    del found.graph.value_info[:]
    copy_notes(onnx.load_from_string(model), found)
    drop_unused_domains(found)
    return bytes(found.SerializeToString())


def _has_loops(graph: object) -> bool:
    nodes = getattr(graph, "node", ())
    return any(node.op_type in ("Loop", "Scan", "If") for node in nodes)
