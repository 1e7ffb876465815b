"""`lightning-app package show|verify|diff`."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package, PackageError
from lightning_app.packaging.runtime.sample import read_sample
from tests.lightning_app.packaging.format.test_refusals import sign
from tests.packages import LABELS, small_package


def test_show_prints_what_a_package_takes_answers_and_was_made_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_package(tmp_path / "class", labels=LABELS, changes={"card": {"complete": False, "missing": ["use"]}})
    assert main(["package", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    for part in (
        "small_mlp", "classification", Package.load(folder).digest, "batch x 4", "length, width", "low, middle, high",
        "test/accuracy", "0" * 40, "lacks use", "error by size",
    ):  # fmt: skip
        assert part in shown
    assert main(["package", "show", str(folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content.pop("digest") == Package.load(folder).digest
    assert content == json.loads((folder / "manifest.json").read_text())


def test_verify_asks_the_golden_request_and_the_sample_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [small_package(tmp_path / name, labels=labels) for name, labels in (("a", LABELS), ("b", None))]
    assert main(["package", "verify", *map(str, folders)]) == 0
    assert capsys.readouterr().out.count("200 rows of the test split are answered as before") == 2
    table = pl.read_parquet(folders[1] / "reference.parquet")
    wrong = pl.when(pl.col("price") == pl.col("price").max()).then(0).otherwise("price").alias("price")
    buffer = io.BytesIO()
    table.with_columns(wrong).write_parquet(buffer)
    (folders[1] / "reference.parquet").write_bytes(buffer.getvalue())
    assert main(["package", "verify", str(folders[1])]) == 2
    sign(folders[1])
    assert main(["package", "verify", str(folders[1])]) == 2
    error = capsys.readouterr().err
    assert "package: reference.parquet has" in error
    assert "answers its sample differently from when it was written: price by" in error


@pytest.mark.parametrize("kind", ["flat", "lists", "text"])
def test_a_small_file_with_a_large_sample_is_refused_before_it_is_decoded(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zeros = pa.array(np.zeros(2**24, np.int8))
    if kind == "flat":
        table = pa.table({f"x{place}": zeros for place in range(5)})
    elif kind == "lists":
        table = pa.table({f"x{place}": pa.FixedSizeListArray.from_arrays(zeros, 2**12) for place in range(5)})
    else:
        table = pa.table({"x": pa.DictionaryArray.from_arrays(np.zeros(2**16, np.int8), ["word " * 1000])})
    folder = small_package(tmp_path / "price")
    reference = folder / "reference.parquet"
    pyarrow.parquet.write_table(table, reference, compression="zstd")
    assert reference.stat().st_size < 2**20
    sign(folder)
    assert main(["package", "verify", str(folder)]) == 2
    assert "reference.parquet: " in (error := capsys.readouterr().err)
    assert "are read" in error


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda: ["a" * 10**7] * 30, "the text has 300,0"),
        (lambda: [b"bytes"], "'x' is of Binary, which no package holds"),
        (lambda: [["a" * 10**7]] * 30, "the text has 300,0"),
        (lambda: [{"inner": "text"}], "which no package holds"),
    ],
    ids=["text", "bytes", "text in lists", "records"],
)
def test_text_that_no_package_holds_is_refused_before_it_is_decoded(
    values: Callable[[], list[object]], message: str, tmp_path: Path
) -> None:
    table = pa.table({"x": pa.array(values())})  # not with the test's parameters: every process would hold them all
    pyarrow.parquet.write_table(table, tmp_path / "reference.parquet", compression="zstd", use_dictionary=False)
    assert (tmp_path / "reference.parquet").stat().st_size < 2**17
    with pytest.raises(PackageError) as error:
        read_sample(tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing more"])
def test_a_sample_that_is_no_table_is_refused(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_package(tmp_path / "price")
    (folder / "reference.parquet").write_bytes(content)
    sign(folder)
    assert main(["package", "verify", str(folder)]) == 2
    assert "error: reference.parquet: cannot be read" in capsys.readouterr().err


def test_diff_says_in_what_packages_differ_and_how_far_their_answers_are_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (small_package(tmp_path / str(noise), labels=LABELS, noise=noise) for noise in (0.1, 0.5))
    assert main(["package", "diff", str(one), str(other)]) == 0
    shown = capsys.readouterr().out
    assert "metrics.values.test/accuracy" in shown
    assert "0.915" in shown
    assert "lineage" not in shown
    assert "answers to the 200 rows of the sample of the first differ by: label 0." in shown
    assert main(["package", "diff", str(one), str(one)]) == 0
    assert "the same package" in capsys.readouterr().out
    wider = small_package(tmp_path / "wider", columns=None, num_features=5)
    assert main(["package", "diff", str(one), str(wider)]) == 0
    shown = capsys.readouterr().out
    assert "cannot answer the sample" in shown
    assert "inputs.features.shape" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show"], "PACKAGE"),
        (["show", "a", "b"], "package: 2 folders given, show takes 1"),
        (["diff", "a"], "package: 1 folders given, diff takes 2"),
        (["open", "a"], "invalid choice: 'open'"),
        (["verify", "nowhere"], "package: nowhere does not exist"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_onnx_runtime_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_package(tmp_path / "price")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["package", "verify", str(folder)]) == 2
    assert capsys.readouterr().err == "error: onnxruntime: not installed; pip install 'lightning-r2p[score]'\n"
