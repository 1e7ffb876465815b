"""Tables of one's own with something wrong in them, through the command line."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from datamodules import TableFile
from lightning_app.__main__ import main
from tests.conftest import CONFIGS, only_run, waves

FitArgs = Callable[..., list[str]]


def refused(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says of a table that it must not train on."""
    assert main(args) == 2
    return capsys.readouterr().err


def with_cells(values: dict[int, object], dtype: type[pl.DataType] = pl.String) -> pl.DataFrame:
    """The table of waves with other cells in column c1."""
    cells = waves()["c1"].cast(dtype).to_list()
    for row, value in values.items():
        cells[row] = value
    return waves().with_columns(pl.Series("c1", cells, dtype=dtype))


BAD_CELLS = {
    "a word": (with_cells({16: "oops"}), "column 'c1' holds 'oops' in line 18, expected a number; mend it, or leave"),
    "decimal commas": (
        waves().with_columns(pl.col("c1").cast(pl.String).str.replace(r"\.", ",")),
        "no decimal comma",
    ),
    "an empty column": (
        waves().with_columns(pl.lit(None, dtype=pl.Float64).alias("c1")),
        "column 'c1' is empty in every row; mend it, or leave the column out by name: series.exclude: [c1]",
    ),
    "text": (waves().with_columns(pl.lit("KJFK").alias("station")), "series.exclude: [station]"),
    "too large": (
        with_cells({16: 1e300}, pl.Float64),
        "column 'c1' holds 1e+300 in line 18, more than float32 can hold",
    ),
    "infinite": (with_cells({16: float("inf")}, pl.Float64), "first: column 'c1' at 2024-01-01 16:00:00, line 18"),
    "a time": (
        waves().with_columns(pl.col("time").cast(pl.String).str.replace("2024-01-02 00.*", "soon")),
        "'time' does not read as ISO 8601 ('soon' in line 26); state its format as time_format",
    ),
}


@pytest.mark.parametrize("name", BAD_CELLS)
def test_a_bad_cell_is_named_with_its_column_row_and_value(
    name: str, fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, message = BAD_CELLS[name]
    table.write_csv(table_file)
    said = refused(fit_args(), capsys)
    assert message in said
    assert str(table_file) in said


def test_a_bad_cell_is_refused_whatever_the_policy_and_named_by_its_line_in_an_unsorted_file(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_cells({16: "oops"}).reverse().write_csv(table_file)
    assert "'oops' in line 385," in refused(fit_args("--data.missing=fill", "--data.series.channels=[c0,c1]"), capsys)


def test_a_spike_whose_square_float32_cannot_hold_is_named(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_cells({390: 1e30}, pl.Float64).write_csv(table_file)
    assert "channel 'c1' holds 1e+30 at 2024-01-17T06:00:00" in refused(fit_args(), capsys)


def test_a_column_is_left_out_by_name(fit_args: FitArgs, table_file: Path) -> None:
    with_cells({16: "oops"}).write_csv(table_file)
    assert main(fit_args("--data.series.exclude=[c1]", "--trainer.max_epochs=1")) == 0


def test_a_column_that_is_left_out_must_be_there(fit_args: FitArgs, capsys: pytest.CaptureFixture[str]) -> None:
    assert "series.exclude: " in (said := refused(fit_args("--data.series.exclude=[c7]"), capsys))
    assert "has no column 'c7'; it has time, c0, c1" in said


def test_timestamps_cut_to_dates_are_refused_with_the_counts(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waves().with_columns(pl.col("time").dt.date()).write_csv(table_file)
    said = refused(fit_args("--data.missing=fill"), capsys)
    assert "data.max_missing: 95.8% of the data would be dropped or made up, more than 10.0%" in said
    assert "400 rows read, 385 used: 383 rows dropped because a later row has their timestamp" in said
    assert "368 rows inserted in gaps; values filled: c0 368 (95.6%), c1 368 (95.6%)" in said


def test_what_was_repaired_is_printed_and_kept(
    fit_args: FitArgs, table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = with_cells({16: None, 17: None}, pl.Float64)
    pl.concat([table[:20], table[19:30], table[33:]]).write_csv(table_file)
    assert main(fit_args("--data.missing=mask", "--trainer.max_epochs=1")) == 0
    line = (
        "398 rows read, 400 used: 1 rows dropped because a later row has their timestamp; 3 rows inserted in gaps; "
        "values filled: c0 3 (0.8%), c1 5 (1.2%)"
    )
    assert f"data: {line}" in capsys.readouterr().out
    folder = only_run(tmp_path / "runs")
    repairs = json.loads((folder / "lineage.json").read_text())["data"]["repairs"]
    assert (repairs["repeated"], repairs["inserted"], repairs["filled"]) == (1, 3, {"c0": 3, "c1": 5})
    assert main(["test", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]) == 0
    assert f"missing values: mask; {line}" in (folder / "report.md").read_text()


def test_a_run_from_before_the_limit_is_tested_as_it_was_trained(
    fit_args: FitArgs, table_file: Path, tmp_path: Path
) -> None:
    with_cells(dict.fromkeys(range(0, 400, 5)), pl.Float64).write_csv(table_file)  # 20 % of a column
    unlimited = fit_args("--data.missing=fill", "--data.max_missing=1", "--trainer.max_epochs=1")
    assert main(unlimited) == 0
    folder = only_run(tmp_path / "runs")
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("    max_missing: 1.0\n", ""))
    assert "max_missing" not in (folder / "config.yaml").read_text()
    assert main(["test", "--ckpt_path", str(folder)]) == 0
    assert main(["test", "--ckpt_path", str(folder), "--data.max_missing", "0.1"]) == 2


def test_times_with_a_zone_are_said_to_be_read_as_utc_and_come_back_in_it(
    fit_args: FitArgs, table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zone = "Asia/Kolkata"
    path = table_file.with_suffix(".parquet")
    waves().with_columns(pl.col("time").dt.replace_time_zone(zone)).write_parquet(path)
    assert main(fit_args(f"--data.series.path={path}", "--trainer.max_epochs=1")) == 0
    assert f"data: timestamps with a zone ({zone}): read as UTC" in capsys.readouterr().out
    folder = only_run(tmp_path / "runs")
    assert main(["predict", "--ckpt_path", str(folder)]) == 0
    times = pl.read_parquet(folder / "predictions.parquet")["time"]
    assert times.dtype == pl.Datetime("us", zone)
    assert times[0].replace(tzinfo=None) == waves()["time"][-1] + timedelta(hours=1)


@pytest.mark.parametrize("frequency", ["1 hour", "0h"])
def test_a_frequency_that_is_no_duration_is_named(
    frequency: str, fit_args: FitArgs, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(fit_args(f"--data.series.frequency={frequency}"), capsys)
    assert f"frequency: '{frequency}' is not a duration; allowed are a number and a unit such as 30s" in said


BAD_FILES = {
    "ragged": ("time,c0\n2024-01-01,1\n2024-01-02,1,5,6\n", "is not a readable table: found more fields"),
    "semicolons": ("time;c0\n2024-01-01;1\n", "no column 'time'; it has time;c0; its columns seem to be separated"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("reader", ["series", "panel"])
def test_a_file_that_is_no_table_is_named(
    name: str, reader: str, fit_args: FitArgs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = BAD_FILES[name]
    path = tmp_path / "broken.csv"
    path.write_text(text)
    panel = ("--data.panel=PanelFile", f"--data.panel.path={path}", "--data.panel.time_column=time")
    args = {
        "series": fit_args(f"--data.series.path={path}"),
        "panel": ["fit", "-c", str(CONFIGS / "recurrent/market_lstm63.yaml"), *panel],
    }
    said = refused(args[reader], capsys)
    assert f"{path}" in said
    assert message in said


def test_the_command_and_the_config_that_a_path_on_a_named_series_is_answered_with_work(
    table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = ["fit", "-c", str(CONFIGS / "forecasting/etth1_ridge.yaml")]
    said = refused([*shipped, f"--data.series.path={table_file}"], capsys)
    assert "data.series.path: no such option of ETT; it takes none; TableFile takes path: name the class and " in said
    words, section = re.findall(r"(--\S.*), or .* -c, (data: .*)", said)[0]
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(_filled(section, table_file))
    for options in (_filled(words, table_file).split(), ["-c", str(overlay)]):
        assert main([*shipped, *options, "--print_config"]) == 0
        series = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]["series"]
        assert series["class_path"].endswith("TableFile")
        assert series["init_args"]["path"] == str(table_file)


def test_a_repeated_timestamp_is_refused_with_the_policy_of_the_literature_which_takes_all_rows_in_order(
    fit_args: FitArgs, table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = waves().with_row_index("row")
    repeated = pl.when(pl.col("row") == 50).then(pl.col("time").shift(1)).otherwise(pl.col("time"))
    table = table.with_columns(time=repeated).drop("row")
    table.write_csv(table_file)
    one_epoch = ("--trainer.max_epochs=1", "--data.series.frequency=null")
    said = refused(fit_args(*one_epoch), capsys)
    assert "1 rows repeat a timestamp (first: 2024-01-03 01:00:00)" in said
    assert "data.missing: rows takes all rows as they stand, as published results on such files do" in said
    assert main(fit_args(*one_epoch, "--data.missing=rows")) == 0
    said = capsys.readouterr().out
    assert "data: 400 rows read, 400 used: all as they stand, though the time of 1 does not follow that of the" in said
    source = TableFile(path=table_file, time_column="time", frequency="1h")
    read = source.read(root=None, missing="rows")
    assert read.values.tolist() == table.select("c0", "c1").to_numpy().tolist()
    assert read.repairs is not None
    assert read.repairs.as_dict()["as_they_stand"] == 2  # into the repeated time, and out of it
    with_cells({16: ""}).write_csv(table_file)
    with pytest.raises(ValueError, match="1 values are NaN, infinite or empty"):
        source.read(root=None, missing="rows")


def _filled(text: str, path: Path) -> str:
    return re.sub(r"(path[=:] ?)\.\.\.", rf"\g<1>{path}", re.sub(r"(time_column[=:] ?)\.\.\.", r"\g<1>time", text))
