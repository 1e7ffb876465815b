"""Keys come back as they were written, whatever they are called and hold."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from onnx import helper
from polars.testing import assert_frame_equal

from lightning_app.__main__ import main
from lightning_app.packaging import TensorSpec
from lightning_app.scoring.engines import PART_ROWS
from tests.lightning_app.scoring.test_score import table, write
from tests.packages import COLUMNS, LABELS, manifest_of, onnx_model, package_of, small_package

WRITTEN = ["01234", "NA", "null", "123456789012345678901234567890", "1e5", "true", "2024-01-01", " x ", "1.10"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return small_package(tmp_path / "package", labels=LABELS)


def test_keys_of_a_csv_file_come_back_as_they_were_written(package: Path, tmp_path: Path) -> None:
    rows = "\n".join(f"{key},{place},1,2,3,{'NA' if place == 1 else 4}" for place, key in enumerate(WRITTEN))
    (tmp_path / "data.csv").write_text(f"key,nr,{','.join(COLUMNS)}\n{rows}\n,9,1,2,3,4\n")
    words = ["score", str(package), "data.csv", "--output", "found.parquet", "--keys", "key,nr,length"]
    assert main([*words, "--max-rejected", "1"]) == 0
    found = pl.read_parquet("found.parquet")
    assert found["key"].to_list() == [*(key for key in WRITTEN if key != "NA"), None]
    assert found["length"].to_list() == ["1"] * 9
    rejected = pl.read_parquet("found.rejected.parquet")
    assert rejected["row"].to_list() == [1]
    assert '"key": "NA"' in rejected["input"][0]
    assert "missing" in rejected["reason"][0]


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_keys_may_be_categories_and_have_the_names_of_our_own_columns(
    ending: str, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("row", "reason", "input", "__reason", "__input", "index")
    frame = table().drop("note").with_columns(pl.lit(name).alias(name) for name in names)
    half = len(frame) // 2
    group = [f"group {row % 7 if row < half else row % 50}" for row in range(len(frame))]
    frame = frame.with_columns(
        pl.Series("group", group, dtype=pl.Categorical),
        pl.lit("T").alias("model_version"),
        pl.when(pl.col("id") == 5).then(None).otherwise(pl.col("width")).alias("width"),
    )
    for place, part in enumerate((frame[:half], frame[half:])):
        write(part, tmp_path / f"{place}{ending}")
    assert main(["score", str(package), f"[01]{ending}", "--output", "found.parquet", "--workers", "2"]) == 0
    assert "left out: model_version (the model writes columns of these names)" in capsys.readouterr().out
    found, keys = pl.read_parquet("found.parquet"), ["id", *names, "group"]
    wanted = frame.filter(pl.col("id") != 5).select(keys).with_columns(pl.col("group").cast(pl.String))
    assert_frame_equal(found.select(keys), wanted)
    assert found.columns == [*keys, "label", "probability", "probabilities", "model_version", "scored_at"]
    rejected = pl.read_parquet("found.rejected.parquet")
    assert rejected.columns == ["row", "reason", "input"]
    assert rejected["row"].to_list() == np.flatnonzero(frame["id"] == 5).tolist()
    assert '"row": "row"' in rejected["input"][0]


def test_texts_of_a_csv_file_may_have_lines_and_a_broken_line_names_its_file(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "many words\n" * 30
    text = f"note,{','.join(COLUMNS)}\n" + f'"{note}",1,2,3,4\n' * 30_000  # more than is read at a time
    (tmp_path / "data.csv").write_text(text)
    assert main(["score", str(package), "data.csv", "--output", "found.parquet"]) == 0
    assert pl.read_parquet("found.parquet")["note"].to_list() == [note] * 30_000
    (tmp_path / "data.csv").write_text(text + "1,2\n")
    assert main(["score", str(package), "data.csv", "--output", "other.parquet"]) == 2
    assert "data.csv: cannot be read: CSV parse error: Row #30002: Expected 5 columns, got 2" in capsys.readouterr().err
    assert not Path("other.parquet").exists()


def test_a_column_that_stands_twice_is_refused(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.csv").write_text(f"key,key,{','.join(COLUMNS)}\n1,2,1,2,3,4\n")
    assert main(["score", str(package), "data.csv", "--output", "found.parquet"]) == 2
    assert "data.csv: column 'key' occurs twice" in capsys.readouterr().err


def test_answers_whose_rows_differ_in_size_are_one_column_over_all_parts(tmp_path: Path) -> None:
    inputs, outputs = ([TensorSpec(name, "float32", ("batch", "length"))] for name in "xy")
    model = onnx_model([helper.make_node("Mul", ["x", "two"], ["y"])], inputs, outputs, {"two": np.float32([2])})
    manifest = manifest_of(inputs=inputs, outputs=outputs)
    package = str(package_of(tmp_path / "twice", manifest, model, {"x": np.ones((3, 2), np.float32)}))
    rows = [[1.0, 2.0]] * PART_ROWS + [[1.0], [2.0, 3.0]] * 10 + [None] * PART_ROWS + [[4.0]] * 10
    pl.DataFrame({"x": rows, "key": range(len(rows))}, schema_overrides={"x": pl.List(pl.Float32)}).write_parquet(
        "x.parquet"
    )
    assert main(["score", package, "x.parquet", "--output", "found.parquet", "--max-rejected", "100%"]) == 0
    found = pl.read_parquet("found.parquet")
    assert found["y"].to_list() == [[2 * number for number in row] for row in rows if row is not None]
    assert pl.read_parquet("found.rejected.parquet")["row"].to_list() == [
        row for row, numbers in enumerate(rows) if numbers is None
    ]
