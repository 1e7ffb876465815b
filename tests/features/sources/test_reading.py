"""Sources: files of all kinds, declared types, clocks, and what is said about bad input."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.definitions import Column, CsvFormat, Source
from features.sources import Notes, read_source

DAY = datetime(2024, 5, 1)
HALF = datetime(2024, 5, 1, 10, 30)


def _source(**settings: Any) -> Source:
    return Source(**{"time": "when", "columns": {"x": Column(type="float")}, **settings})


def _read(source: Source, *, notes: Notes | None = None, **arguments: Any) -> pl.DataFrame:
    return read_source(source, name="log", keys={"key": "int"}, notes=notes or Notes(), **arguments).collect()


def _table(**columns: list[Any]) -> pl.DataFrame:
    size = len(next(iter(columns.values())))
    return pl.DataFrame({"key": [1] * size, "when": [DAY] * size, "x": [0.5] * size, **columns}, strict=False)


@pytest.mark.parametrize(
    "kind", ["csv", "csv.gz", "semicolon", "whitespace", "headless", "headed", "parquet", "folder", "glob"]
)
def test_every_kind_of_file_reads_the_same(kind: str, tmp_path: Path) -> None:
    text = "key,when,x\n1,2024-05-01,0.5\n2,2024-05-02T10:00:00,\n"
    file, csv = tmp_path / "log.csv", None
    frame = pl.DataFrame({"key": [1, 2], "when": [DAY, datetime(2024, 5, 2, 10)], "x": [0.5, None]})
    if kind == "csv":
        file.write_text(text)
    elif kind == "csv.gz":
        file = tmp_path / "log.csv.gz"
        file.write_bytes(gzip.compress(text.encode()))
    elif kind == "semicolon":
        file.write_text("# a comment\n" + text.replace(",", ";").replace("10:00:00;", "10:00:00;?"))
        csv = CsvFormat(separator=";", skip_rows=1, null_values=("?",))
    elif kind == "whitespace":
        file.write_text("key   when x\r\n 1  2024-05-01   0.5\r\n 2 2024-05-02T10:00:00 NA\r\n")
        csv = CsvFormat(separator="whitespace", null_values=("NA",))
    elif kind in ("headless", "headed"):  # a header of the names given is no row
        file.write_text(text if kind == "headed" else text.partition("\n")[2])
        csv = CsvFormat(columns=("key", "when", "x"))
    elif kind == "parquet":
        file = tmp_path / "log.parquet"
        frame.write_parquet(file)
    else:
        for row in range(2):
            (tmp_path / f"day={row}").mkdir()
            frame[row].write_parquet(tmp_path / f"day={row}" / "part.parquet")
        file = tmp_path if kind == "folder" else tmp_path / "*" / "part.parquet"
    events = _read(_source(path=str(file), csv=csv))
    assert events.select("key", "__time", "x").equals(frame.rename({"when": "__time"}))


def test_a_relative_path_starts_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("key,when,x\n1,2024-05-01,0.5\n")
    assert _read(_source(path="log.csv"), root=tmp_path).height == 1


@pytest.mark.parametrize(
    ("source", "values", "wanted"),
    [
        ({}, ["2024-05-01 10:30", "2024-05-01T10:30:00.5"], [HALF, HALF.replace(microsecond=500000)]),
        ({}, ["2024-05-01T10:30:00Z"], [datetime(2024, 5, 1, 10, 30, tzinfo=UTC)]),
        ({}, ["2024-05-01T10:30:00+02:00"], [datetime(2024, 5, 1, 8, 30, tzinfo=UTC)]),
        ({"time_format": "%d.%m.%Y %H:%M"}, ["01.05.2024 10:30"], [datetime(2024, 5, 1, 10, 30)]),
        ({"time_format": "%Y%m%d"}, [20240501], [DAY]),
        ({"time_format": "%d/%m/%Y"}, ["01/05/2024"], [DAY]),
        ({"time_zone": "Europe/Berlin"}, ["2024-05-01T10:30"], [datetime(2024, 5, 1, 8, 30, tzinfo=UTC)]),
        (
            {"time_zone": "Europe/Berlin"},
            ["2024-05-01T10:30", "2024-05-01T10:30Z"],
            [datetime(2024, 5, 1, 8, 30, tzinfo=UTC), datetime(2024, 5, 1, 10, 30, tzinfo=UTC)],
        ),
    ],
)  # fmt: skip
def test_times(source: dict[str, Any], values: list[Any], wanted: list[datetime]) -> None:
    assert _read(_source(**source), table=_table(when=values))["__time"].to_list() == wanted


@pytest.mark.parametrize(
    ("source", "columns", "message"),
    [
        ({"time": "wen"}, {}, "source 'log' has no column 'wen'; did you mean 'when'?"),
        ({"columns": {"y": Column(type="int")}}, {}, "source 'log' has no column 'y'; there is key, when, x"),
        ({}, {"x": ["1", "l"]}, "source 'log': column 'x' holds 'l' in row 2; its type is declared as float"),
        ({}, {"x": [DAY]}, "column 'x' is Datetime(time_unit='us', time_zone=None); its type is declared as float"),
        ({"columns": {"x": Column(type="str")}}, {}, "column 'x' is Float64; its type is declared as str"),
        ({"columns": {"x": Column(type="bool")}}, {"x": [0, 1, 2, 3]}, "holds 2 in row 3 and 1 more rows like it; its"),
        ({}, {"key": [1.5]}, "source 'log': key 'key' holds 1.5 in row 1; its type is declared as int"),
        ({}, {"when": [1]}, "column 'when' is Int64, a datetime is needed: "),
        ({}, {"when": ["1.5.2024"]}, "holds '1.5.2024' in row 1; needed is ISO 8601, such as 2024-05-"),
        ({}, {"when": ["2024-02-30"]}, "column 'when' holds '2024-02-30' in row 1; needed is ISO 8601"),
        ({"time_format": "%Y"}, {"when": ["x"]}, "holds 'x' in row 1; needed is format '%Y'"),
        ({}, {"when": ["2024-05-01T10:00Z", "2024-05-01T10:00+02:00"]}, "of several zones (+02:00, Z); wri"),
        ({}, {"when": ["2024-05-01T10:00Z", "2024-05-01T10:00"]}, "times with and without a zone; "),
        ({"time_zone": "Europe/Berlin"}, {"when": ["2024-03-31T02:30"]}, "a time that exists in Europe"),
        ({"time_zone": "Berlin"}, {}, "time_zone 'Berlin' is unknown; an IANA name"),
    ],
)  # fmt: skip
def test_messages(source: dict[str, Any], columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(ValueError) as error:
        _read(_source(**source), table=_table(**columns) if columns else _table(key=[1]))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("path", "csv", "message"),
    [
        ("none.csv", None, "source 'log': {root}/none.csv does not exist"),
        ("*.parquet", None, "source 'log': no file matches {root}/*.parquet"),
        ("empty", None, "source 'log': no parquet file is in {root}/empty"),
        ("empty.csv", None, "source 'log': {root}/empty.csv is empty"),
        ("two.csv", CsvFormat(columns=("a",)), "source 'log'.csv.columns: 1 names given, {root}/two.csv has 2 columns"),
        ("two.csv", CsvFormat(separator="::"), "'::' given; one character, or `whitespace`, is needed"),
        (None, None, "source 'log' has no path: give its rows as a table of that name"),
    ],
)  # fmt: skip
def test_messages_about_files(path: str | None, csv: CsvFormat | None, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "two.csv").write_text("1,2\n")
    with pytest.raises(ValueError) as error:
        _read(_source(path=path, csv=csv), root=tmp_path)
    assert message.format(root=tmp_path) in str(error.value)


def test_what_is_left_out_or_put_in_order_is_counted() -> None:
    table = _table(
        key=[1, None, 1, 1, 1, 1],
        when=["2024-05-03", "2024-05-03", "2024-05-02", None, "2024-05-02", "2024-05-04"],
        known=["2024-05-03", "2024-05-03", "2024-05-02", "2024-05-04", "2024-05-02", None],
    )
    notes = Notes()
    assert _read(_source(available="known"), table=table, notes=notes)["__row"].to_list() == [0, 2, 4]
    assert notes.lines() == [
        "source 'log': 1 rows have no key: they belong to nobody and are left out",
        "source 'log': 1 rows have no event time: left out",
        "source 'log': 1 rows have no time at which they were available: left out",
        "source 'log': 1 rows are earlier than the row before them: put in order",
        "source 'log': 1 rows are like another row in every column that is read: kept",
    ]


def test_a_local_time_that_occurs_twice_is_the_earlier_and_said() -> None:
    notes = Notes()
    table = _table(when=["2024-10-27T02:30"])
    events = _read(_source(time_zone="Europe/Berlin"), table=table, notes=notes)
    assert events["__time"][0] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert notes.lines() == [
        "source 'log': column 'when': 1 rows have a local time that occurs twice in Europe/Berlin: the earlier is meant"
    ]


def test_whole_numbers_written_as_decimals_are_keys_and_nan_is_missing() -> None:
    events = _read(_source(), table=_table(key=["17850.0", "7", "9007199254740993"], x=[float("nan"), 1.0, 2.0]))
    assert events["key"].to_list() == [17850, 7, 9007199254740993]
    assert events["x"].to_list() == [None, 1.0, 2.0]


def test_parquet_files_of_a_folder_may_differ_in_types_and_zones(tmp_path: Path) -> None:
    times = pl.Series([DAY]).cast(pl.Datetime("us"))
    first = {"key": pl.Series([1], dtype=pl.Int32), "when": times.dt.replace_time_zone("Europe/Berlin"), "x": [None]}
    pl.DataFrame(first).write_parquet(tmp_path / "a.parquet")
    second = {"when": times.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"), "key": [2], "x": [0.5], "more": [1]}
    pl.DataFrame(second).write_parquet(tmp_path / "b.parquet")
    events = _read(_source(path=str(tmp_path)))
    assert events.select("key", "x").rows() == [(1, None), (2, 0.5)]
    assert events["__time"].to_list() == [datetime(2024, 4, 30, 22, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)]
    pl.DataFrame({"key": [3], "when": times, "x": [0.5]}).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(ValueError, match="source 'log': column 'when' is .* in another; write all files alike"):
        _read(_source(path=str(tmp_path)))
    (tmp_path / "d.parquet").write_text("no table")
    with pytest.raises(ValueError, match="source 'log': .*d.parquet is no parquet file"):
        _read(_source(path=str(tmp_path)))
