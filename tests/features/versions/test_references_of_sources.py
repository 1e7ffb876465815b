"""Sources of features read snapshots and versions of Delta tables."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from features.batch import training_table
from features.definitions import Aggregate, Column, Definitions, Entity, FeatureView, Source
from features.versions import open_store, take_snapshot


def total_of(path: str) -> float:
    source = Source(time="time", path=path, columns={"units": Column(type="float")})
    view = FeatureView(source="sales", entity="shop", features={"total": Aggregate(function="sum", column="units")})
    definitions = Definitions(
        views={"sales": view}, sources={"sales": source}, entities={"shop": Entity(keys={"shop": "str"})}
    )
    rows = pl.DataFrame({"shop": ["a"], "time": [datetime(2024, 2, 1)]})
    return training_table(definitions, rows)["total"].item()


def sales(*units: float) -> pl.DataFrame:
    times = [datetime(2024, 1, 1 + day) for day in range(len(units))]
    return pl.DataFrame({"time": times, "shop": ["a"] * len(units), "units": list(units)})


def test_a_source_may_be_a_snapshot_of_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTNING_APP_SNAPSHOTS", str(tmp_path / "store"))
    (tmp_path / "parts").mkdir()
    sales(1.0, 2.0).write_csv(tmp_path / "parts" / "1.csv")
    sales(4.0).write_csv(tmp_path / "parts" / "2.csv")
    taken = take_snapshot(tmp_path / "parts", store=open_store(), name="sales").manifest
    sales(100.0).write_csv(tmp_path / "parts" / "1.csv")
    take_snapshot(tmp_path / "parts", store=open_store(), name="sales")
    assert total_of(f"snapshot:sales@{taken.id[:8]}") == 7
    assert total_of("snapshot:sales") == 104
    assert total_of("snapshot:sales/2.csv") == 4


def test_a_source_may_be_a_version_of_a_delta_table(tmp_path: Path) -> None:
    pytest.importorskip("deltalake", reason="Delta tables need the extra delta")
    sales(1.0, 2.0).write_delta(tmp_path / "t")
    sales(4.0).write_delta(tmp_path / "t", mode="append")
    assert (total_of(f"{tmp_path}/t@v0"), total_of(f"{tmp_path}/t")) == (3, 7)
