"""Small real packages: a perceptron of numpy weights as an ONNX graph, with real predictions of itself inside."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from onnx import helper, numpy_helper

from features.definitions import Column, Definitions, FeatureView, Given, Text
from features.pipeline import AskedRows, FeaturePipeline
from features.sources import Notes
from features.text.token_rows import FastTokenizer
from lightning_app.packaging import Manifest, Predictor, TensorSpec, Tokenizer, write_package
from lightning_app.packaging.format.node_ids import NODE_IDS, NodeIds
from lightning_app.packaging.runtime.golden import make_golden
from lightning_app.packaging.runtime.raw_input import load_raw_input
from lightning_app.packaging.runtime.raw_kinds.features_input import FeaturesInput
from lightning_app.packaging.runtime.raw_kinds.features_spec import raw_input_spec
from lightning_app.packaging.runtime.raw_kinds.text_tokens import token_specs
from tests.tiny_encoder import SENTENCES, tiny_tokenizer

LABELS = ("low", "middle", "high")
COLUMNS = ("length", "width", "height", "weight")


def small_package(
    folder: Path,
    *,
    name: str = "small_mlp",
    labels: Sequence[str] | None = None,
    columns: Sequence[str] | None = COLUMNS,
    num_features: int = 4,
    hidden_size: int = 8,
    noise: float = 0.1,
    seed: int = 0,
    num_rows: int = 200,
    overwrite: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a package of a perceptron with one hidden layer.

    Args:
        folder: Where; the package is this folder.
        name: Of the manifest.
        labels: Makes a classifier of them; None makes a regression with one number per row.
        columns: Names of the features; None has one column `features` of arrays.
        num_features: Without names.
        hidden_size: Hidden units.
        noise: How far its weights are from those that made the targets: the larger, the worse the package.
        seed: Of the noise.
        num_rows: Test rows in `evaluation.parquet`; the data are the same for all packages.
        overwrite: As of `write_package`.
        changes: Fields of the manifest that are to be other than they would be.
    """
    width = len(columns) if columns is not None else num_features
    outputs = len(labels) if labels is not None else 1
    model = _model(_weights(width, hidden_size, outputs, noise, seed), labels is not None)
    truth = _model(_weights(width, hidden_size, outputs, 0.0, 0), labels is not None)
    features = np.random.default_rng(7).standard_normal((num_rows, width)).astype(np.float32)
    manifest = _manifest(name, labels, columns, width)
    name_out = manifest.outputs[0].name
    answer = Predictor(manifest=manifest, model=model).predict({"features": features})
    wanted = Predictor(manifest=manifest, model=truth).predict({"features": features})
    if labels is None:
        target, error = wanted[name_out], (answer[name_out] - wanted[name_out]).astype(np.float64) ** 2
    else:
        target, error = wanted["label"], (answer["label"] != wanted["label"]).astype(np.float64)
    size = np.where(features[:, 0] > 0, "large", "small")
    manifest = replace(manifest, **_measured(error, size, labels is not None), **(changes or {}))
    inputs = {column: features[:, place] for place, column in enumerate(columns)} if columns else {"features": features}
    return write_package(
        folder,
        manifest=manifest,
        overwrite=overwrite,
        files={
            "model.onnx": model,
            "config.yaml": b"seed_everything: 0\n",
            "MODEL_CARD.md": f"# {name}\n".encode(),
            "reference.parquet": _parquet({**inputs, "target": target, **answer}),
            "evaluation.parquet": _parquet({"row": np.arange(num_rows), "error": error, "slice.size": size}),
            "golden.json": make_golden(Predictor(manifest=manifest, model=model), {"features": features[:3]}),
        },
    )


def package_of(
    folder: Path,
    manifest: Manifest,
    model: bytes,
    request: Mapping[str, Any],
    *,
    tokenizer: Tokenizer | None = None,
    node_ids: NodeIds | None = None,
    raw_input: bytes | Mapping[str, bytes] | None = None,
    reference: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a package around any ONNX graph; its golden request, reference and evaluation are this request's.

    Args:
        folder: Where.
        manifest: With the signature.
        model: The ONNX file.
        request: A dict request; the tables hold a row for each of its rows.
        tokenizer: Where the input is text.
        node_ids: Where nodes are asked by id.
        raw_input: Where raw rows are answered, the file of their preparation, or its files by name.
        reference: Columns of the reference sample; None for row numbers alone.
    """
    predictor = Predictor(
        manifest=manifest,
        model=model,
        tokenizer=tokenizer,
        node_ids=node_ids,
        raw_input=None if raw_input is None else load_raw_input(manifest, _raw_files(manifest, raw_input)),
    )
    num_rows = len(next(iter(request.values())))
    rows = {"row": np.arange(num_rows), "error": np.zeros(num_rows)}
    files: dict[str, bytes | Path] = {
        "model.onnx": model,
        "config.yaml": b"seed_everything: 0\n",
        "MODEL_CARD.md": f"# {manifest.name}\n".encode(),
        "reference.parquet": _parquet(rows if reference is None else reference),
        "evaluation.parquet": _parquet(rows),
        "golden.json": make_golden(predictor, request),
    }
    if tokenizer is not None:
        files["tokenizer.json"] = tokenizer.to_json()
    if node_ids is not None:
        files[NODE_IDS] = node_ids.to_parquet()
    if manifest.raw_input is not None and raw_input is not None:
        files |= _raw_files(manifest, raw_input)
    return write_package(folder, manifest=manifest, files=files)


def manifest_of(*, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], **changes: Any) -> Manifest:
    """A manifest with a signature and what every manifest has.

    Args:
        inputs: Of the graph.
        outputs: Of the graph.
        changes: Other fields.
    """
    return replace(_manifest("small", None, None, 1), inputs=tuple(inputs), outputs=tuple(outputs), **changes)


def onnx_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    constants: Mapping[str, np.ndarray],
) -> bytes:
    """A checked ONNX file.

    Args:
        nodes: In their order.
        inputs: What the graph takes, state included.
        outputs: What it returns, state included.
        constants: Weights by name.
    """
    graph = helper.make_graph(
        list(nodes),
        "small",
        [_value_info(spec) for spec in inputs],
        [_value_info(spec) for spec in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def text_package(
    folder: Path, *, max_length: int = 12, with_number: bool = True, num_rows: int = 40, name: str = "reviews"
) -> Path:
    """Writes a package that classifies reviews of a title, a text and a number: embeddings, their mean, a softmax.

    Args:
        folder: Where; the package is this folder.
        max_length: Tokens that are kept of a text.
        with_number: Whether rows have a number `age` beside their texts.
        num_rows: Rows of its reference and evaluation.
        name: Of the manifest.
    """
    pipeline = _review_pipeline(with_number=with_number)
    tokenizer = FastTokenizer(tiny_tokenizer(), max_length=max_length, pad_token_id=0)
    inputs = token_specs(tokenizer)
    if with_number:
        numbers = TensorSpec("numbers", "float32", ("batch", 1), columns=("age",))
        inputs = (numbers, TensorSpec("missing", "bool", ("batch", 1)), *inputs)
    outputs = (TensorSpec("probabilities", "float32", ("batch", 2), unit="probability"),)
    rng = np.random.default_rng(5)
    constants = {
        "embeddings": rng.standard_normal((tokenizer.vocab_size, 4)).astype(np.float32),
        "weight": rng.standard_normal((4, 2)).astype(np.float32),
        "number_weight": np.array([[0.02, -0.02]], dtype=np.float32),
        "axis": np.array([1]),
        "last": np.array([2]),
    }
    nodes = [
        helper.make_node("Gather", ["embeddings", "token_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask_3d"]),
        helper.make_node("Mul", ["embedded", "mask_3d"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "weight"], ["of_text"]),
    ]
    if with_number:
        nodes += [
            helper.make_node("Cast", ["missing"], ["gone"], to=1),
            helper.make_node("Sub", ["numbers", "gone"], ["known"]),
            helper.make_node("MatMul", ["known", "number_weight"], ["of_number"]),
            helper.make_node("Add", ["of_text", "of_number"], ["logits"]),
        ]
    else:
        del constants["number_weight"]
        nodes.append(helper.make_node("Identity", ["of_text"], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1))
    spec = raw_input_spec(pipeline)
    manifest = manifest_of(
        inputs=inputs, outputs=outputs, labels=("bad", "good"), task="classification", raw_input=spec, name=name
    )
    (batch,) = FeaturesInput(pipeline, tokenizer=tokenizer).prepare(reviews(num_rows, with_number=with_number), None)
    return package_of(
        folder,
        manifest,
        onnx_model(nodes, inputs, outputs, constants),
        batch.values,
        raw_input={spec.file: pipeline.to_json(), "tokenizer.json": tokenizer.to_json()},
        reference={name: [np.asarray(row).tolist() for row in value] for name, value in batch.values.items()},
    )


def reviews(num_rows: int, *, with_number: bool = True) -> pl.DataFrame:
    """Raw rows of `text_package`: texts of 1 to 60 words, some of them missing.

    Args:
        num_rows: How many.
        with_number: Whether there is a column `age`.
    """
    words = " ".join(SENTENCES).split()
    rng = np.random.default_rng(11)
    texts = [" ".join(rng.choice(words, size=rng.integers(1, 60 if row % 5 == 0 else 8))) for row in range(num_rows)]
    table = pl.DataFrame(
        {
            "title": [None if row % 3 == 0 else texts[-row] for row in range(num_rows)],
            "review": [None if row % 7 == 3 else text for row, text in enumerate(texts)],
        },
        schema={"title": pl.String, "review": pl.String},
    )
    return table.with_columns(age=pl.Series(rng.integers(18, 80, num_rows))) if with_number else table


def _review_pipeline(*, with_number: bool) -> FeaturePipeline:
    request = {"title": Column(type="str"), "review": Column(type="str")}
    features: dict[str, Any] = {"body": Text(columns=("title", "review"))}
    if with_number:
        request["age"] = Column(type="int", unit="years")
        features["age"] = Given(column="age")
    pipeline = FeaturePipeline(
        definitions=Definitions(views={"row": FeatureView(request=request, features=features)}),
        features=tuple(f"row.{feature}" for feature in features),
        rows=AskedRows(),
    )
    rows = pipeline.ask(reviews(4, with_number=with_number), notes=Notes())
    return pipeline.fit(rows, {}, train=np.arange(4), notes=Notes())


def _raw_files(manifest: Manifest, raw_input: bytes | Mapping[str, bytes]) -> Mapping[str, bytes]:
    assert manifest.raw_input is not None
    return {manifest.raw_input.file: raw_input} if isinstance(raw_input, bytes) else raw_input


def _value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)


def _manifest(name: str, labels: Sequence[str] | None, columns: Sequence[str] | None, width: int) -> Manifest:
    answer = TensorSpec(name="price", dtype="float32", shape=("batch",), unit="euros")
    if labels is not None:
        answer = TensorSpec(name="probabilities", dtype="float32", shape=("batch", len(labels)))
    return Manifest(
        name=name,
        family="tabular",
        task="regression" if labels is None else "classification",
        layout="rows",
        inputs=(
            TensorSpec(
                name="features",
                dtype="float32",
                shape=("batch", width),
                unit="as given",
                columns=None if columns is None else tuple(columns),
            ),
        ),
        outputs=(answer,),
        labels=None if labels is None else tuple(labels),
        metrics={"split": "test", "protocol": {}, "rows": 0, "values": {}, "better": {}},
        slices={},
        lineage={
            "repository": {"commit": "0" * 40, "patch_sha256": None},
            "framework": {"version": "0.1.0", "commit": None, "dirty_diff": None},
            "config_sha256": "1" * 64,
            "data": {"source": "drawn", "sha256": "2" * 64},
            "seeds": [0],
            "lock_sha256": None,
            "versions": {"python": "3.11"},
            "parents": [],
            "created": "2026-01-01T00:00:00+00:00",
        },
        parity={"rows": 256, "batch_sizes": [1, 7, 64], "max_relative_error": 1e-7},
        latency={"threads": 1, "p50_ms": {"1": 0.01, "8": 0.02}, "machine": "any"},
        card={"complete": True, "missing": []},
    )


def _measured(error: np.ndarray, size: np.ndarray, is_class: bool) -> dict[str, Any]:
    metric, value = ("test/accuracy", 1 - float(error.mean())) if is_class else ("test/mse", float(error.mean()))
    slices = {
        kind: {"rows": int((size == kind).sum()), "error": float(error[size == kind].mean())}
        for kind in ("large", "small")
    }
    return {
        "metrics": {
            "split": "test",
            "protocol": {"data": "drawn"},
            "rows": len(error),
            "values": {metric: value},
            "better": {metric: "higher" if is_class else "lower"},
        },
        "slices": {"size": slices},
    }


def _weights(width: int, hidden: int, outputs: int, noise: float, seed: int) -> list[np.ndarray]:
    true, own = np.random.default_rng(3), np.random.default_rng(seed)
    shapes = [(width, hidden), (hidden,), (hidden, outputs), (outputs,)]
    return [(true.standard_normal(shape) + noise * own.standard_normal(shape)).astype(np.float32) for shape in shapes]


def _model(weights: list[np.ndarray], is_class: bool) -> bytes:
    """`tanh(x W + b) V + c`, then a softmax over the classes, or the one number without its axis."""
    names = ["hidden_weight", "hidden_bias", "weight", "bias"]
    constants = dict(zip(names, weights, strict=True))
    nodes = [
        helper.make_node("Gemm", ["features", "hidden_weight", "hidden_bias"], ["before"]),
        helper.make_node("Tanh", ["before"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "weight", "bias"], ["scores"]),
    ]
    if is_class:
        nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1))
        answer = TensorSpec("probabilities", "float32", ("batch", weights[3].size))
    else:
        constants["last_axis"] = np.array([1])
        nodes.append(helper.make_node("Squeeze", ["scores", "last_axis"], ["price"]))
        answer = TensorSpec("price", "float32", ("batch",))
    return onnx_model(nodes, [TensorSpec("features", "float32", ("batch", len(weights[0])))], [answer], constants)


def _parquet(columns: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(dict(columns)).write_parquet(buffer)
    return buffer.getvalue()
