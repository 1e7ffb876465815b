"""ONNX files that reach outside of themselves are refused before anything is loaded."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from lightning_app.packaging import PackageError, Predictor, RequestError, TensorSpec
from lightning_app.packaging.runtime.onnx_scan import DOMAINS, check_onnx
from lightning_app.packaging.runtime.session import session_options
from tests.packages import LABELS, manifest_of, small_package

INPUTS, OUTPUTS = [TensorSpec("x", "float32", ("batch", 2))], [TensorSpec("y", "float32", ("batch", 2))]


def model_of(*nodes: onnx.NodeProto, constants: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy")
    graph = helper.make_graph(list(nodes), "g", [x], [y], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def outside_tensor(path: str) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros((2,), np.float32), "c")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", path
    return tensor


def if_node(inner: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A node inside the branches of another."""
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    branch = helper.make_graph([inner], "branch", [], [value])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [], [value])
    true = numpy_helper.from_array(np.array(True), "")
    return [
        helper.make_node("Constant", [], ["true"], value=true),
        helper.make_node("If", ["true"], ["y"], then_branch=branch, else_branch=other),
    ]


ADD = helper.make_node("Add", ["x", "c"], ["y"])


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.bin", "weights.bin"])
def test_data_in_other_files_is_refused_wherever_it_stands(path: str) -> None:
    constant = helper.make_node("Constant", [], ["y"], value=outside_tensor(path))
    sparse = onnx.SparseTensorProto(values=outside_tensor(path))
    models = [
        model_of(ADD, constants=(outside_tensor(path),)),
        model_of(constant),
        model_of(*if_node(constant)),
        model_of(helper.make_node("Constant", [], ["y"], sparse_value=sparse)),
    ]
    of_function = model_of(helper.make_node("F", ["x"], ["y"], domain="own"))
    imports = [helper.make_opsetid("", 20)]
    of_function.functions.append(helper.make_function("own", "F", ["x"], ["y"], [constant], imports))
    training = model_of(ADD)
    training.training_info.add().initialization.initializer.append(outside_tensor(path))
    for model in (*models, of_function, training):
        with pytest.raises(PackageError, match="has data in other files"):
            check_onnx(model.SerializeToString())


def wide(tag: int) -> bytes:
    """A tag with a bit above the 32nd, which parsers drop."""
    return bytes([tag | 0x80, 0x80, 0x80, 0x80, 0x10])


def field(tag: int, body: bytes, *, hidden: bool = False) -> bytes:
    assert len(body) < 128 * 128
    size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return (wide(tag) if hidden else bytes([tag])) + size + body


def hidden_constant(path: str, *, of_node: bool) -> bytes:
    """A model whose constant `c` lies in another file, which only tags of more than 32 bits say."""
    tensor = outside_tensor(path)
    entries = [entry.SerializeToString() for entry in tensor.external_data]
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    body = tensor.SerializeToString() + b"".join(field(0x6A, entry, hidden=True) for entry in entries)
    body += wide(0x70) + b"\1"
    if of_node:
        attribute = field(0x0A, b"value") + field(0x2A, body) + b"\xa0\1\4"
        graph = field(0x0A, field(0x12, b"c") + field(0x22, b"Constant") + field(0x2A, attribute))
        return graph_first(graph, model_of(ADD).SerializeToString())
    return model_of(ADD).SerializeToString() + field(0x3A, field(0x2A, body))


def graph_first(graph: bytes, model: bytes) -> bytes:
    """Parts of one message that stand apart are put together by parsers."""
    return field(0x3A, graph) + model


@pytest.mark.parametrize("of_node", [False, True])
def test_data_in_other_files_is_refused_however_it_is_written(
    of_node: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.array([3, 4], np.float32).tofile("secret.bin")
    content = hidden_constant("secret.bin", of_node=of_node)
    with pytest.raises(PackageError, match="a tag is not written as a serializer writes it"):
        Predictor(manifest=manifest_of(inputs=INPUTS, outputs=OUTPUTS), model=content)
    with pytest.raises(Exception, match="External data path|external data"):  # and the runtime would not follow it
        InferenceSession(content, session_options(1), providers=["CPUExecutionProvider"])


def test_a_file_that_is_two_things_is_refused() -> None:
    content = b"\x12\6\0\0ORTM" + model_of(ADD).SerializeToString()
    assert onnx.load_from_string(content).graph.node
    with pytest.raises(PackageError, match="mark of ONNX Runtime's own format"):
        check_onnx(content)


def tensors_in(message: Message) -> Iterator[onnx.TensorProto]:
    """Every tensor anywhere in a message, as its own parser sees it."""
    if isinstance(message, onnx.TensorProto):
        yield message
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in value if isinstance(value, Sequence) else [value]:
                yield from tensors_in(inner)


def operations_in(message: Message) -> Iterator[tuple[str, str]]:
    if isinstance(message, onnx.NodeProto):
        yield message.domain, message.op_type
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in value if isinstance(value, Sequence) else [value]:
                yield from operations_in(inner)


SEEDS = [
    hidden_constant("a", of_node=False),
    hidden_constant("a", of_node=True),
    model_of(ADD, constants=(outside_tensor("a"),)).SerializeToString(),
    model_of(*if_node(helper.make_node("Shell", ["x"], ["y"], domain="evil"))).SerializeToString(),
]
PIECES = [
    wide(0x6A),
    wide(0x70),
    wide(0x3A),
    b"\x6a",
    b"\x70\1",
    b"\xea\0",
    b"\xf0\0",
    b"\x3a",
    b"\x2a",
    b"\x0b",
    b"\x0c",
]


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_what_passes_the_scan_has_nothing_that_the_parser_of_onnx_finds(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 6)))
        content = content[:start] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=6)) + content[end:]
    try:
        check_onnx(content)
    except PackageError:
        return
    try:
        found = onnx.load_from_string(content)
    except DecodeError:
        return
    assert not any(tensor.external_data or tensor.data_location for tensor in tensors_in(found))
    known = {(function.domain, function.name) for function in found.functions}
    assert {domain for domain, name in set(operations_in(found)) - known} <= set(DOMAINS)


def test_operations_that_nobody_brings_are_refused_wherever_they_stand() -> None:
    foreign = helper.make_node("Shell", ["x"], ["y"], domain="evil.ops")
    for model in (model_of(foreign), model_of(*if_node(foreign))):
        with pytest.raises(PackageError, match="operation Shell of the domain 'evil.ops' is not known"):
            check_onnx(model.SerializeToString())


def test_functions_that_the_file_defines_are_operations() -> None:
    imports = [helper.make_opsetid("", 20)]
    model = model_of(helper.make_node("Twice", ["x"], ["y"], domain="own"))
    body = [helper.make_node("Add", ["x", "x"], ["y"])]
    model.functions.append(helper.make_function("own", "Twice", ["x"], ["y"], body, imports))
    model.opset_import.append(helper.make_opsetid("own", 1))
    predictor = Predictor(manifest=manifest_of(inputs=INPUTS, outputs=OUTPUTS), model=model.SerializeToString())
    assert predictor.predict({"x": [[1.0, 2.0]]})["y"].tolist() == [[2.0, 4.0]]
    model.graph.node[0].op_type = "Thrice"
    with pytest.raises(PackageError, match="operation Thrice of the domain 'own'"):
        check_onnx(model.SerializeToString())


@pytest.mark.parametrize("depth", [10, 30])
def test_graphs_nested_without_end_are_refused(depth: int) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    for _ in range(depth):
        node = if_node(node)[1]
    content = model_of(node).SerializeToString()
    if depth == 10:
        check_onnx(content)
    else:
        with pytest.raises(PackageError, match="nested deeper"):
            check_onnx(content)


@pytest.mark.parametrize("content", [b"", b"\0", b"PK\3\4", b"\x80\x04\x95", b"\xff" * 40, b"{}"])
def test_what_is_no_onnx_file_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match=r"model\.onnx: no ONNX file"):
        check_onnx(content)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = small_package(tmp_path_factory.mktemp("packages") / "class", labels=LABELS)
    return (folder / "model.onnx").read_bytes()


@settings(deadline=None)
@given(data=st.data())
def test_a_model_with_any_bytes_anywhere_answers_or_is_refused(model: bytes, data: st.DataObject) -> None:
    outputs = [TensorSpec("probabilities", "float32", ("batch", 3))]
    manifest = manifest_of(inputs=[TensorSpec("features", "float32", ("batch", 4))], outputs=outputs, labels=LABELS)
    start = data.draw(st.integers(0, len(model)))
    end = data.draw(st.integers(start, min(len(model), start + 8)))
    changed = model[:start] + data.draw(st.binary(max_size=8)) + model[end:]
    try:
        predictor = Predictor(manifest=manifest, model=changed)
        predictor.predict({"features": np.zeros((2, 4), np.float32)})
    except (PackageError, RequestError):
        pass


def test_memory_that_nobody_has_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    content = model_of(*nodes, constants=(numpy_helper.from_array(np.array([2**50]), "size"),)).SerializeToString()
    predictor = Predictor(manifest=manifest_of(inputs=INPUTS, outputs=OUTPUTS), model=content)
    with pytest.raises(RequestError, match="the model fails on it"):
        predictor.predict({"x": [[1.0, 2.0]]})


def test_a_package_is_loaded_and_asked_without_what_made_it(tmp_path: Path) -> None:
    folder = small_package(tmp_path / "class", labels=LABELS)
    program = (
        "import sys\n"
        "from lightning_app.packaging import Package\n"
        f"package = Package.load({str(folder)!r})\n"
        "print(package.predict({'features': [[1.0, 2.0, 3.0, 4.0]]})['label'][0])\n"
        "heavy = 'torch', 'lightning', 'mlflow', 'onnx', 'pandas', 'polars', 'rich', 'models', 'datamodules'\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    root = str(Path(__file__).parents[4])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": root}
    )
    label, loaded = done.stdout.splitlines()
    assert label in LABELS
    assert loaded == "[]"
