"""Raw tables of time series against a package that repeats the last value: times, zones, policies, damaged files."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from onnx import helper

from datamodules import ForecastingDataModule, TableFile
from features.series.spec import Scale, SeriesSpec
from lightning_app.packaging import BadRowsError, Package, PackageError, RequestError, TensorSpec
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec
from tests.packages import manifest_of, onnx_model, package_of

LOOK_BACK, HORIZON = 4, 3


def spec_of(**changes: Any) -> SeriesSpec:
    fields = {"time_column": "day", "targets": ("y",), "look_back": LOOK_BACK, "horizon": HORIZON, "frequency": "1d"}
    return SeriesSpec(**{**fields, **changes})


def repeating(folder: Path, spec: SeriesSpec, *, kind: str = "series") -> Package:
    """A package whose forecast is the last value of the window."""
    width = len(spec.targets)
    inputs = (TensorSpec("past", "float32", ("batch", LOOK_BACK, width)),)
    outputs = (TensorSpec("forecast", "float32", ("batch", HORIZON, width)),)
    nodes = [helper.make_node("Gather", ["past", "last"], ["forecast"], axis=1)]
    model = onnx_model(nodes, inputs, outputs, {"last": np.full(HORIZON, LOOK_BACK - 1)})
    columns = tuple(RawColumn(name, "number", "target") for name in spec.columns)
    raw_input = RawInputSpec(kind, "series.json", columns, LOOK_BACK, "rows")
    manifest = manifest_of(inputs=inputs, outputs=outputs, raw_input=raw_input)
    request = {"past": np.zeros((2, LOOK_BACK, width), dtype=np.float32)}
    return Package.load(package_of(folder / "package", manifest, model, request, raw_input=spec.to_json()))


def days(count: int, **columns: Any) -> pl.DataFrame:
    start = datetime(2024, 1, 30)
    return pl.DataFrame({"day": [start + timedelta(days=index) for index in range(count)], **columns})


def test_times_with_a_zone_are_answered_in_the_zone_of_the_table(tmp_path: Path) -> None:
    package = repeating(tmp_path, spec_of(time_zone="UTC"))
    table = days(5, y=[1.0, 2, 3, 4, 5])
    utc = package.predict(table.with_columns(pl.col("day").dt.replace_time_zone("UTC")))
    assert utc["time"].to_list() == [datetime(2024, 2, 4 + step, tzinfo=UTC) for step in range(HORIZON)]
    shifted = table.with_columns(pl.col("day").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"))
    tokyo = package.predict(shifted)
    assert tokyo["time"].dtype == pl.Datetime("us", "Asia/Tokyo")
    assert (tokyo["time"].dt.convert_time_zone("UTC") == utc["time"]).all()
    with pytest.raises(RequestError, match="day: times without a zone given, the model was trained on times in UTC"):
        package.predict(table)
    with pytest.raises(RequestError, match="at: times with a zone needed, as in the table"):
        package.predict(shifted, at=[datetime(2024, 2, 3)])
    east = timezone(timedelta(hours=2))
    assert len(package.predict(shifted, at=[datetime(2024, 2, 3, 2, tzinfo=east)])) == HORIZON
    texts = [f"2024-01-0{index}T00:00:00{zone}" for index, zone in enumerate(("Z", "+02:00", "Z", "Z", "Z"), start=1)]
    with pytest.raises(RequestError, match="are not a multiple of 1d"):  # two zones in one column are two clocks
        package.predict(table.with_columns(day=pl.Series(texts)))


def test_a_date_and_an_hour_in_two_columns_are_a_time_in_training_and_in_the_package(tmp_path: Path) -> None:
    hours = pl.DataFrame({"date": ["2024-02-29"] * 24 + ["2024-03-01"] * 6, "hour": [*range(24), *range(6)], "y": 1.0})
    hours.write_csv(tmp_path / "hours.csv")
    source = TableFile(
        path=tmp_path / "hours.csv", time_column=["date", "hour"], time_format="%Y-%m-%d %H", frequency="1h"
    )
    assert source.channels(root=None) == ("y",)
    data = ForecastingDataModule(series=source, look_back=LOOK_BACK, horizon=HORIZON)
    assert data.series.times[len(data.series) - 1] == np.datetime64("2024-03-01T05:00")
    assert data.series_spec is not None
    package = repeating(tmp_path, data.series_spec)
    expected = [datetime(2024, 3, 1, hour) for hour in (6, 7, 8)]
    assert package.predict(hours)["time"].to_list() == expected
    assert package.predict(hours.reverse().sort("date", "hour").to_arrow())["time"].to_list() == expected
    with pytest.raises(RequestError, match="hour: no such column"):
        package.predict(hours.drop("hour"))
    with pytest.raises(RequestError, match="does not read as %Y-%m-%d %H"):
        package.predict(hours.with_columns(hour=pl.lit("noon")))


def test_a_policy_of_error_holds_for_requests_too(tmp_path: Path) -> None:
    package = repeating(tmp_path, spec_of())
    table = days(6, y=[1.0, 2, 3, 4, 5, 6])
    for change, message in (
        (pl.concat([table, table.tail(1)]), "1 rows repeat a timestamp"),
        (table.reverse(), "timestamps are not sorted"),
        (table.filter(pl.col("y") != 3), "1 steps of 1d are absent"),
        (table.with_columns(y=pl.when(pl.col("y") == 3).then(None).otherwise("y")), "1 values are NaN, infinite or em"),
    ):
        with pytest.raises(RequestError, match=message):
            package.predict(change)


def test_steps_of_months_are_counted_from_the_table(tmp_path: Path) -> None:
    package = repeating(tmp_path, spec_of(frequency="1mo"))
    ends = [datetime(2023, 11, 30), datetime(2023, 12, 31), datetime(2024, 1, 31), datetime(2024, 2, 29)]
    answer = package.predict(pl.DataFrame({"day": ends, "y": [1.0, 2, 3, 4]}))
    assert answer["time"].to_list() == [datetime(2024, 3, 31), datetime(2024, 4, 30), datetime(2024, 5, 31)]
    assert answer["forecast"].to_list() == [4.0, 4.0, 4.0]


def test_each_series_is_answered_in_its_own_units_and_under_its_name(tmp_path: Path) -> None:
    spec = spec_of(id_column="shop", scales={"7": Scale(mean=100.0, std=10.0)}, missing="fill")
    package = repeating(tmp_path, spec)
    one, two = days(5, y=[90.0, 100, 110, 120, 130]), days(4, y=[1.0, 2, 3, 4])
    table = pl.concat([one.with_columns(shop=pl.lit(7)), two.with_columns(shop=pl.lit(8))]).sample(
        fraction=1.0, shuffle=True, seed=0
    )
    with pytest.warns(UserWarning, match="sorted") as caught:
        answer = package.predict(table).sort("channel", maintain_order=True)
    said = " ".join(str(warning.message) for warning in caught)
    assert "1 series were not in training (8): scaled by their own look-back" in said
    assert "times that went backwards, sorted" in said
    assert answer["channel"].to_list() == ["7"] * HORIZON + ["8"] * HORIZON
    np.testing.assert_allclose(answer["forecast"], [130.0] * HORIZON + [4.0] * HORIZON, rtol=1e-6)
    with pytest.raises(RequestError, match="2 rows have no series in 'shop'"):
        package.predict(table.with_columns(shop=pl.when(pl.int_range(pl.len()) > 1).then("shop")))
    short = pl.concat([days(5, y=1.0, shop="a"), days(2, y=1.0, shop="b")])
    with pytest.raises(BadRowsError, match="row 6: series 'b': 2 rows up to"):
        package.predict(short)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "series.json: version 2 given, this version of lightning-app reads up to 1"),
        ({"horizon": "3"}, "series.json: Expected `int`, got `str`"),
        ({"look_back": 9}, "series.json: windows of 9 x 1, not those of the manifest"),
        ({"frequency": "soon"}, "series.json: frequency: 'soon' is not a duration"),
        ({"code": "import os"}, "series.json: .*unknown field `code`"),
        ({"max_missing": 7}, "series.json: max_missing: 7"),
    ],
)
def test_a_preparation_that_does_not_fit_is_refused_at_load(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    repeating(tmp_path, spec_of())
    content = json.loads((tmp_path / "package/series.json").read_text())
    rewrite(tmp_path / "package", json.dumps({**content, **change}).encode())
    with pytest.raises(PackageError, match=message):
        Package.load(tmp_path / "package")


def rewrite(package: Path, content: bytes) -> None:
    """Replaces `series.json`, with its digest."""
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["files"]["series.json"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (package / "manifest.json").write_text(json.dumps(manifest))
    (package / "series.json").write_bytes(content)


def test_an_unknown_kind_of_raw_rows_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        PackageError, match="raw_input.kind: 'songs' given, this version of lightning-app knows .*series"
    ):
        repeating(tmp_path, spec_of(), kind="songs")
