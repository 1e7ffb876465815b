"""Paths of configs: which arguments name files is said by their types."""

from pathlib import Path

import pytest

from datamodules import ETT, TableFile, TextFiles  # noqa: F401
from lightning_app.config.config_paths import data_files, with_absolute_paths
from models.forecasting.ensemble import EnsembleForecaster  # noqa: F401


class OwnSource:
    def __init__(self, *, table: Path | str, folders: list[Path] | None = None, note: str = "") -> None: ...


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        Path(name).write_text("x\n")


@pytest.mark.parametrize(
    ("class_path", "given", "names"),
    [
        ("datamodules.TableFile", {"path": "a.csv", "time_column": "b.csv"}, ["path"]),
        ("datamodules.TextFiles", {"train": "a.csv", "val": "b.csv", "separator": "a.csv"}, ["train", "val"]),
        (f"{__name__}.OwnSource", {"table": "a.csv", "folders": None, "note": "a.csv"}, ["table"]),
    ],
)
def test_paths_become_absolute_by_their_types(class_path: str, given: dict[str, str], names: list[str]) -> None:
    config = with_absolute_paths({"data": {"class_path": class_path, "init_args": given}})
    expected = {name: str(Path(value).resolve()) if name in names else value for name, value in given.items()}
    assert config["data"]["init_args"] == expected
    files = data_files({"data": {"class_path": class_path, "init_args": given}})
    assert set(files) == {str(Path(given[name]).resolve()) for name in names}


def test_paths_in_lists_and_of_a_list_of_checkpoints() -> None:
    ensemble = "models.forecasting.ensemble.EnsembleForecaster"
    model = {"class_path": ensemble, "init_args": {"members": ["a.csv", "gone.ckpt"], "loss": None}}
    own = {"class_path": f"{__name__}.OwnSource", "init_args": {"table": "c", "folders": ["b.csv"]}}
    config = with_absolute_paths({"model": model, "data": own})
    assert config["model"]["init_args"]["members"] == [str(Path("a.csv").resolve()), "gone.ckpt"]
    assert config["data"]["init_args"]["folders"] == [str(Path("b.csv").resolve())]
