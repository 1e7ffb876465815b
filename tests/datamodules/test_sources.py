import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datamodules import DailyMarket, ForecastingDataModule, TableFile, WeeklyCO2
from datamodules.sources import RawFile, data_root, fetch, packaged_file

CONTENT = b"time,value\n2024-01-01,1\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real HTTP server with one file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "series.csv").write_bytes(CONTENT)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def raw(server: str, *, name: str = "series.csv", content: bytes = CONTENT) -> RawFile:
    return RawFile(path="set/series.csv", url=f"{server}/{name}", sha256=hashlib.sha256(content).hexdigest())


def test_a_missing_file_is_downloaded_once(server: str, tmp_path: Path) -> None:
    root = str(tmp_path / "data")
    path = fetch(raw(server), root=root)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["series.csv"]
    (tmp_path / "www" / "series.csv").unlink()
    assert fetch(raw(server), root=root) == path


def test_a_download_with_a_wrong_checksum_stores_nothing(server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the file has changed or was cut short. Nothing was stored"):
        fetch(raw(server, content=b"other"), root=str(tmp_path / "data"))
    assert not list((tmp_path / "data").rglob("*.csv*"))


def test_a_local_file_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "series.csv").write_bytes(b"tampered")
    with pytest.raises(ValueError, match="has sha256 .* but the published file has"):
        fetch(raw("http://127.0.0.1:1"), root=str(tmp_path))


@pytest.mark.parametrize("address", ["{server}/absent.csv", "http://127.0.0.1:1/series.csv"])
def test_an_address_that_does_not_answer_says_where_to_put_the_file(server: str, tmp_path: Path, address: str) -> None:
    file = RawFile(path="set/series.csv", url=address.format(server=server), sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match="could not be downloaded.*put it at .*series.csv"):
        fetch(file, root=str(tmp_path / "data"))


def test_the_data_root_is_the_argument_then_the_environment_then_data(monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_root("here") == Path("here")
    monkeypatch.setenv("LIGHTNING_APP_DATA", "there")
    assert data_root(None) == Path("there")
    monkeypatch.delenv("LIGHTNING_APP_DATA")
    assert data_root(None) == Path("data")


def test_a_series_inside_a_package_that_is_not_installed_names_the_extra() -> None:
    with pytest.raises(FileNotFoundError, match=r"pip install 'lightning-r2p\[data\]'"):
        packaged_file("no_such_package", "x.csv", extra="data")


def test_co2_is_refused_by_default_because_weeks_are_missing() -> None:
    with pytest.raises(ValueError, match="59 values are NaN"):
        _ = ForecastingDataModule(series=WeeklyCO2(), look_back=52, horizon=4).series


def test_co2_filled_has_2284_weeks() -> None:
    assert len(ForecastingDataModule(series=WeeklyCO2(), look_back=52, horizon=4, missing="fill").series) == 2284


@pytest.mark.parametrize(("symbol", "rows"), [("sp500", 5031), ("nasdaq", 5031), ("wti", 8321), ("vix", 1259)])
def test_bundled_markets_are_read_without_download(symbol: str, rows: int) -> None:
    series = ForecastingDataModule(series=DailyMarket(symbol=symbol), look_back=20, horizon=5).series
    assert len(series) == rows
    assert series.observed.all()


def test_a_table_file_that_does_not_exist_says_where_it_was_looked_for() -> None:
    with pytest.raises(
        FileNotFoundError, match="'nowhere.csv' does not exist; looked for nowhere.csv and .*nowhere.csv"
    ):
        TableFile(path="nowhere.csv", time_column="time").channels(root="elsewhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("notes.txt", b"hello", "ends with '.txt'; allowed: .csv"),
        ("long.csv", b"time,a\n1,2\n3,4,5\n", r"line 3 has 3 cells, the header 2"),
        ("semicolons.csv", b"time;a\n1;2,5\n", r"line 2 has 2 cells, .* separated by ';', save it with commas"),
        ("latin.csv", "time,K\xe4se\n1,2\n".encode("latin1"), "its header is not UTF-8"),
        ("twice.csv", b"time,a,a\n1,2,3\n", "column 'a' occurs twice in the header"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        TableFile(path=str(tmp_path / name), time_column="time").channels(root=None)
