"""Contracts of the tables that data modules read: refused, moved aside and said, or kept."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datamodules import (
    ForecastingDataModule,
    LongForecastingDataModule,
    LongTableFile,
    PanelFile,
    TableFile,
)
from datamodules.tabular import FeatureTableDataModule, RandomSplit
from features.contracts import ContractError
from features.versions import open_store, take_snapshot
from tests.conftest import waves

RULES = """
columns:
  time: {type: datetime}
  c0: {type: float, severity: quarantine}
rules:
  - {kind: range, column: c0, min: 0, max: 100, severity: quarantine}
  - {kind: range, column: c1, max: 100}
  - {kind: range, column: c1, max: 20.5, severity: warn, name: usual}
"""


def module(table: pl.DataFrame, **options: Any) -> ForecastingDataModule:
    Path("c.yaml").write_text(RULES)
    table.write_csv("waves.csv")
    source = TableFile(path="waves.csv", time_column="time", frequency="1h", contract="c.yaml", **options)
    return ForecastingDataModule(series=source, look_back=24, horizon=12, missing="fill")


def damaged(row: int, **values: Any) -> pl.DataFrame:
    at_row = pl.int_range(pl.len()) == row
    return waves().with_columns(
        pl.when(at_row).then(pl.lit(value)).otherwise(pl.col(name).cast(pl.String)).alias(name)
        for name, value in values.items()
    )


def test_a_table_that_breaks_an_error_rule_is_refused_with_its_line() -> None:
    with pytest.raises(
        ContractError, match=r"waves.csv breaks c: range\(c1\): 1 row not at most 100; first: line 9: c1"
    ):
        module(damaged(7, c1="120.0")).setup("fit")


@pytest.mark.parametrize(("value", "rule"), [("1000", "range"), ("broken", "type")])
def test_bad_rows_are_moved_to_a_file_and_said(value: str, rule: str) -> None:
    data = module(damaged(7, c0=value), quarantine="aside/bad.parquet")
    data.setup("fit")
    bad = pl.read_parquet("aside/bad.parquet")
    assert bad["row"].to_list() == [7]
    assert str(bad["c0"][0]).startswith(value)
    assert data.notes()[0].startswith("contract c: usual: ")
    assert data.notes()[1] == f"contract c: 1 of 400 rows moved to aside/bad.parquet ({rule}(c0) 1)"
    assert "1 row" in data.notes()[2]  # the gap that it leaves was filled
    assert "contract" in data.fingerprint()


def test_bad_rows_without_a_file_for_them_refuse_the_table() -> None:
    with pytest.raises(
        ValueError, match=r"series.quarantine: none given, and 1 rows of waves.csv break c \(range\(c0\)"
    ):
        module(damaged(7, c0="1000")).setup("fit")


def test_a_table_that_keeps_its_contract_gives_the_same_windows() -> None:
    data = module(waves(), quarantine="bad.parquet")
    bare = ForecastingDataModule(
        series=TableFile(path="waves.csv", time_column="time", frequency="1h"), look_back=24, horizon=12
    )
    assert (data.series.values == bare.series.values).all()
    assert not Path("bad.parquet").exists()
    assert "contract" not in bare.fingerprint()


def test_arguments_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match=r"series.quarantine: b.parquet given without series.contract"):
        TableFile(path="a.csv", time_column="time", quarantine="b.parquet")
    with pytest.raises(ValueError, match="ends in .parquet"):
        TableFile(path="a.csv", time_column="time", contract="c.yaml", quarantine="b.csv")
    waves().write_csv("a.csv")
    with pytest.raises(ValueError, match=r"series.contract: c.yaml does not exist; looked for c.yaml and "):
        TableFile(path="a.csv", time_column="time", contract="c.yaml").channels(root=".")


def test_a_panel_keeps_its_contract() -> None:
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2021, 12, 31), eager=True)
    rows = pl.DataFrame({"date": days, "close": [100.0] * len(days)}).with_columns(ticker=pl.lit("007"))
    rows.with_columns(close=pl.when(pl.int_range(pl.len()) == 3).then(-1.0).otherwise("close")).write_csv("p.csv")
    rule = "{kind: range, column: close, min: 0, severity: quarantine}"
    Path("c.yaml").write_text(f"columns:\n  ticker: {{type: str}}\nrules:\n  - {rule}\n")
    panel = PanelFile(path="p.csv", contract="c.yaml", quarantine="bad.parquet")
    (ticker,) = panel.read(root=None)
    assert (ticker.name, len(ticker.values)) == ("007", len(days) - 1)
    assert pl.read_parquet("bad.parquet")["close"].to_list() == [-1.0]


def test_a_long_table_keeps_its_contract() -> None:
    parts = [waves().select("time", y="c0").with_columns(id=pl.lit(name)) for name in ("007", "8")]
    parts[0].extend(parts[1]).with_columns(
        y=pl.when(pl.int_range(pl.len()) == 405).then(-1.0).otherwise("y")
    ).write_csv("long.csv")
    rule = "{kind: range, column: y, min: 0, severity: quarantine}"
    Path("c.yaml").write_text(f"columns:\n  id: {{type: str}}\nrules:\n  - {rule}\n")
    source = LongTableFile(
        path="long.csv", id_column="id", time_column="time", frequency="1h", contract="c.yaml", quarantine="bad.parquet"
    )
    data = LongForecastingDataModule(series=source, look_back=24, horizon=12, missing="fill")
    assert len(data.long) == 2
    assert pl.read_parquet("bad.parquet").select("row", "id", "y").rows() == [(405, "8", -1.0)]
    assert data.notes()[0] == "contract c: 1 of 800 rows moved to bad.parquet (range(y) 1)"
    assert "contract" in data.fingerprint()
    assert data.contract is not None


FEATURES = """
views:
  order:
    request: {price: {type: float}}
    features: {price: {kind: given, column: price}}
labels: {cheap: {kind: column, column: cheap}}
"""
"""Definitions of one feature of a row."""


def test_rows_of_a_feature_table_keep_their_contract() -> None:
    Path("features.yaml").write_text(FEATURES)
    Path("c.yaml").write_text("rules: [{kind: range, column: price, min: 0}]\ncolumns: {price: {type: float}}\n")
    rows = pl.DataFrame({"price": [1.0, -2.0] * 20, "cheap": [True, False] * 20})
    rows.write_csv("orders.csv")
    options: dict[str, Any] = {"definitions": "features.yaml", "label": "cheap", "split": RandomSplit()}
    data = FeatureTableDataModule(rows="orders.csv", contract="c.yaml", **options)
    with pytest.raises(
        ContractError, match=r"orders.csv breaks c: range\(price\): 20 rows not at least 0; first: line 3"
    ):
        data.raw  # noqa: B018
    with pytest.raises(ValueError, match=r"data.contract: c.yaml given with data.entities"):
        FeatureTableDataModule(entities="orders", contract="c.yaml", **options)


def test_rows_of_a_feature_table_may_be_a_snapshot_or_a_version_of_a_delta_table() -> None:
    deltalake = pytest.importorskip("deltalake", reason="Delta tables need the extra delta")
    Path("features.yaml").write_text(FEATURES)
    rows = pl.DataFrame({"price": [1.0, 2.0] * 20, "cheap": [True, False] * 20})
    rows.write_csv("orders.csv")
    taken = take_snapshot("orders.csv", store=open_store("snapshots"), name="orders").manifest.id[:12]
    for part in (rows, rows.head(4)):
        deltalake.write_deltalake("orders", part.to_arrow(), mode="append")
    sources = {}
    for path in ("snapshot:orders", f"snapshot:orders@{taken}", "orders@v0"):
        data = FeatureTableDataModule(definitions="features.yaml", label="cheap", split=RandomSplit(), rows=path)
        assert sorted(data.served_arrays["numbers"][:, 0].tolist()) == sorted(rows["price"])
        sources[path] = data.fingerprint()["source"]
    assert list(sources.values()) == [f"snapshot:orders@{taken}"] * 2 + ["orders@v0"]
    data = FeatureTableDataModule(definitions="features.yaml", label="cheap", split=RandomSplit(), rows="snapshot:none")
    with pytest.raises(ValueError, match=r"data.rows: .*'none'"):
        data.raw  # noqa: B018
