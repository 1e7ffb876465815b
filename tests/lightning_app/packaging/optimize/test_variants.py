"""Variants of a package are smaller, measured against their parent, and not written where they are worse."""

from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package


@pytest.mark.slow
def test_int8_of_a_run_is_smaller_and_says_what_it_cost(
    run: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent_options = ["--optimize-from", str(trained / "package"), "--max-worse", "0.05", "--allow-slower"]
    assert main(["export", run, "--output", "small", "--optimize", "int8", *parent_options]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "test error: " in printed.out
    parent, variant = Package.load(trained / "package"), Package.load("small")
    optimization = variant.manifest.optimization
    assert optimization is not None
    assert optimization["kind"] == "int8"
    sizes = optimization["model_bytes"]
    assert sizes["after"] == Path("small/model.onnx").stat().st_size < sizes["before"] / 2
    model = onnx.load("small/model.onnx")
    assert "MatMulInteger" in {node.op_type for node in model.graph.node}
    assert {entry.domain for entry in model.opset_import} == {"", *(node.domain for node in model.graph.node)}
    notes = [[value.doc_string for value in side] for side in (model.graph.input, model.graph.output)]
    of_parent = onnx.load(trained / "package/model.onnx")
    assert notes == [[value.doc_string for value in side] for side in (of_parent.graph.input, of_parent.graph.output)]
    assert model.metadata_props == of_parent.metadata_props

    before = pl.read_parquet(trained / "package/evaluation.parquet")
    after = pl.read_parquet("small/evaluation.parquet")
    assert before["row"].to_list() == after["row"].to_list()
    worse = float(after["error"].to_numpy().mean() / before["error"].to_numpy().mean()) - 1
    assert worse != 0  # the errors of the variant, not those of its parent
    accuracy = optimization["accuracy"]
    assert accuracy["worse"] == pytest.approx(worse, abs=1e-6)
    assert accuracy["low"] <= worse <= accuracy["high"] <= 0.05
    assert variant.manifest.metrics["values"]["test/mse"] == pytest.approx(float(after["error"].to_numpy().mean()))

    sample = pl.read_parquet("small/reference.parquet")
    request = {"past": sample["past"].to_numpy()[:256]}
    expected, answer = (package.predict(request)["forecast"] for package in (parent, variant))
    apart = float(np.abs(answer - expected).max() / np.abs(expected).max())
    assert 0 < apart < 0.05
    np.testing.assert_allclose(sample["forecast"].to_numpy()[:256], answer, rtol=0, atol=0.05 * np.abs(answer).max())
    card = Path("small/MODEL_CARD.md").read_text()
    assert "## Optimisation" in card
    assert f"| size | {sizes['before'] / 1e6:.2f} MB | {sizes['after'] / 1e6:.2f} MB |" in card
    assert "depends a little on the rows that it is asked with" in card
    assert "The package and its parent were compared on " in card
    times = optimization["latency_p50_ms"]
    assert variant.manifest.latency["p50_ms"] == times["after"]  # its own, not that of its parent
    assert f"- latency: {times['after']['1']:g} ms for a batch of 1, " in card
    assert f"| median of a call, batch of 8 | {times['before']['8']:g} ms | {times['after']['8']:g} ms |" in card
    assert main(["package", "verify", "small"]) == 0


@pytest.mark.slow
def test_fp16_needs_the_package_alone_and_halves_it(trained: Path) -> None:
    package = trained / "package"
    command = ["export", "--optimize-from", str(package), "--optimize", "fp16", "--output", "half", "--allow-slower"]
    assert main(command) == 0
    parent, variant = Package.load(package), Package.load("half")
    optimization = variant.manifest.optimization
    assert optimization is not None
    assert optimization["parent"] == parent.digest
    assert optimization["model_bytes"]["after"] < 0.7 * optimization["model_bytes"]["before"]
    assert {"kind": "package", "sha256": parent.digest} in variant.manifest.lineage["parents"]
    sample = pl.read_parquet(package / "reference.parquet")
    expected, answer = (one.predict(sample)["forecast"].to_numpy() for one in (parent, variant))
    assert 0 < np.abs(answer - expected).max() < 2e-3 * np.abs(expected).max()
    assert main([*command[:-1], "--overwrite", "--optimize-from", "half"]) == 2


def test_what_is_less_accurate_than_allowed_is_refused_and_not_written(
    run: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = ["--optimize-from", str(trained / "package")]
    assert main(["export", run, *parent, "--output", "small", "--optimize", "int8", "--max-worse", "0"]) == 1
    error = capsys.readouterr().err
    assert "OptimizationError: accuracy: the test error changed by " in error
    assert "at most +0.00% is allowed" in error
    assert not Path("small").exists()
    assert not [path for path in Path().iterdir() if "small" in path.name]


@pytest.mark.slow
def test_pruning_makes_smaller_matrices_and_a_run_that_answers_as_the_package(
    run: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", run, "--output", "small", "--optimize", "pruned", "--recovery-epochs", "1"]
    assert main([*command, "--max-worse", "0.5", "--allow-slower"]) == 0
    capsys.readouterr()
    optimization = Package.load("small").manifest.optimization
    assert optimization is not None
    assert (optimization["feed_forward_size_before"], optimization["feed_forward_size"]) == (128, 64)
    assert (optimization["num_heads_before"], optimization["num_heads"]) == (4, 2)
    shapes = {tuple(tensor.dims) for tensor in onnx.load("small/model.onnx").graph.initializer}
    assert not {(32, 128), (128, 32)} & shapes
    (smaller,) = (trained / "runs/small_pruned").iterdir()
    assert main(["export", str(smaller), "--output", "again"]) == 0
    sample = pl.read_parquet("small/reference.parquet")
    answers = [Package.load(folder).predict(sample)["forecast"].to_numpy() for folder in ("small", "again")]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no RUN_OR_CKPT given"),
        (("--optimize", "pruned", "--optimize-from", "{package}"), "pruned given with a package alone"),
        (("--optimize-from", "{package}"), "given without --optimize int8|fp16|pruned"),
        (("--optimize", "int8", "--optimize-from", "{package}", "--max-worse", "nan"), "max-worse: nan given"),
        (("--optimize", "int8", "--optimize-from", "{package}", "--", "--data.horizon", "5"), "another fingerprint"),
    ],
)
def test_what_cannot_be_done_is_said(
    options: tuple[str, ...], message: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(package=trained / "package") for word in options]
    assert main(["export", "--output", "small", *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("small").exists()
