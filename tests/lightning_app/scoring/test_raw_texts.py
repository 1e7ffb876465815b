"""Packages of texts score tables of raw rows: in any format, with texts of any content, and count what they cut."""

import json
import warnings

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.packages import reviews, text_package


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return text_package(tmp_path_factory.mktemp("texts") / "package")


@pytest.fixture(scope="module")
def table():
    odd = pl.DataFrame({"title": ['said "no"', "a,b"], "review": ["two\nlines", "\u4f60\u597d film"], "age": [30, 41]})
    return pl.concat([reviews(100), odd], how="vertical_relaxed").with_row_index("id")


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_table_is_scored_as_its_rows_are_answered(package, table, ending, tmp_path, capsys):
    write = {"csv": table.write_csv, "parquet": table.write_parquet, "jsonl": table.write_ndjson}[ending]
    write(tmp_path / f"rows.{ending}")
    assert main(["score", str(package), str(tmp_path / f"rows.{ending}"), "--output", "scored.parquet"]) == 0
    scored = pl.read_parquet("scored.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = Package.load(package).predict(table.drop("id"))
    assert [int(row) for row in scored["id"]] == list(range(102))
    np.testing.assert_allclose(np.stack(scored["probabilities"]), np.stack(expected["probabilities"]), atol=1e-6)
    printed = capsys.readouterr().out
    assert printed.count("rows have more than 12 tokens: answered from the first 12") == 1
    assert printed.count("body: 5 rows have no text: answered as an empty one") == 1


def test_rejected_rows_do_not_answer_the_others_again(package, table, tmp_path, capsys):
    mixed = table.with_columns(pl.col("age").cast(pl.String)).with_columns(
        age=pl.when(pl.col("id") == 3).then(pl.lit("old")).otherwise("age")
    )
    mixed.write_csv(tmp_path / "rows.csv")
    command = ["score", str(package), str(tmp_path / "rows.csv"), "--output", "scored.parquet", "--json"]
    assert main([*command, "--max-rejected", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["num_rejected"] == 1
    assert any("more than 12 tokens" in note for note in result["notes"])
    assert "old" in pl.read_parquet("scored.rejected.parquet")["reason"][0]


def test_a_column_without_a_name_is_kept(package, table, tmp_path):
    table.rename({"id": ""}).write_csv(tmp_path / "rows.csv")  # as pandas writes its index
    assert main(["score", str(package), str(tmp_path / "rows.csv"), "--output", "scored.parquet"]) == 0
    assert [int(row) for row in pl.read_parquet("scored.parquet")[""]] == list(range(102))
