"""The drift reference of each family's package: what a journal of its requests has, and what its model answers."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.drift.reference import REFERENCE_FILE, SAMPLE_FILE, Reference
from lightning_app.monitoring.report.structs import Window
from lightning_app.monitoring.windows.rows import read_rows
from lightning_app.packaging import Package, PackageError
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.journal.stores import open_reader
from lightning_app.serving.pages.sample_request import sample_request
from tests.families import FAMILIES, TrainedFamily
from tests.lightning_app.serving.server import running_worker
from tests.packages import small_package

Family = Callable[[str], TrainedFamily]


@pytest.fixture(scope="module")
def journal(family: Family, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Journal of a server of one package of each family, each asked once, with an outcome."""
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder / 'journal.db'}"
    packages = [(name, family(name).package) for name in FAMILIES]
    with running_worker(folder / "worker", packages, config={"journal": {"url": url}}) as worker:
        for name, path in packages:
            sample = sample_request(LoadedModel(Package.load(path, replay=False), name=name, version=None))
            assert sample is not None
            answer = worker.client.post(f"/models/{name}/predict", json=sample.body)
            assert answer.status_code == 200, answer.text
            outcome = {"request_id": answer.json()["request_id"], "row": 0, "outcome": _outcome(path)}
            assert worker.client.post("/feedback", json=outcome).status_code == 200
    return url


def _outcome(package: Path) -> Any:
    sample = Package.load(package, replay=False).drift_sample()
    assert sample is not None
    return sample.select("outcome").to_dicts()[0]["outcome"]


def flat(column: pl.Series) -> list[Any]:
    """Values of a column, those of its lists one by one."""
    return (column.explode() if column.dtype.is_nested() else column).to_list()


def journalled(url: str, name: str) -> pl.DataFrame:
    """Rows of a model as monitoring reads them."""
    reader = open_reader(url)
    try:
        return read_rows(reader, name, Window(since=0.0, until=time.time() + 60)).monitored
    finally:
        reader.close()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_journal_of_requests_has_the_columns_of_the_reference(name: str, family: Family, journal: str) -> None:
    reference = Package.load(family(name).package, replay=False).drift_reference()
    assert reference is not None
    rows = journalled(journal, name)
    sketch = reference.sketch(rows)
    assert sketch.new == {}
    for column, counted in sketch.columns.items():
        assert (counted.absent, counted.wrong_type) == (0, 0), column
    assert sum(counted.count for counted in sketch.columns.values()) > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reference_counts_every_row_and_adds_up_with_windows(name: str, family: Family, journal: str) -> None:
    package = Package.load(family(name).package, replay=False)
    reference, sample = package.drift_reference(), package.drift_sample()
    assert reference is not None
    assert sample is not None
    assert len(sample) == reference.rows
    assert {column.role for column in reference.columns} == {"input", "prediction", "outcome"}
    watched = reference.sketch(sample).columns
    for column in reference.columns:
        if column.plan.source in sample.columns:
            assert watched[column.plan.name].counts == column.sketch.counts
    both = reference.reference_sketch() + reference.sketch(journalled(journal, name))
    assert both.rows == reference.rows + len(journalled(journal, name))


@pytest.mark.parametrize("name", ["puzzle", "nodes", "links"])
def test_rows_of_the_reference_are_answered_as_it_says(name: str, family: Family) -> None:
    package = Package.load(family(name).package, replay=False)
    sample = package.drift_sample()
    assert sample is not None
    answer = package.predict(sample.select(name for name in sample.columns if not name.startswith("prediction.")))
    for column in sample.columns:
        if column.startswith("prediction."):
            given, wanted = answer[column.removeprefix("prediction.")], sample[column]
            assert flat(given.cast(wanted.dtype)) == pytest.approx(flat(wanted), abs=1e-5), column


def test_a_forecast_of_the_reference_is_the_answer_to_its_rows(family: Family) -> None:
    package = Package.load(family("forecasting").package, replay=False)
    sample = package.drift_sample()
    assert sample is not None
    for row in (0, len(sample) - 1):
        request = sample[row].select("time", "c0", "c1").explode("time", "c0", "c1")
        assert len(request) == 48
        answer = package.predict(request)
        assert answer["forecast"].to_list() == pytest.approx(sample["prediction.forecast"][row].to_list(), abs=1e-4)
    first = sample["time"].list.get(-1)
    assert first.is_sorted()
    waves = pl.read_csv(family("forecasting").folder / "waves.csv")
    truth = waves["c0"].tail(12).to_list() + waves["c1"].tail(12).to_list()
    assert sample["outcome"][-1].to_list() == pytest.approx(truth, abs=1e-3)


def test_rows_of_a_table_are_in_the_order_of_time_with_the_answers_to_them(family: Family) -> None:
    package = Package.load(family("tabular").package, replay=False)
    sample, reference = package.drift_sample(), package.drift_reference()
    assert sample is not None
    assert reference is not None
    shops = pl.read_csv(family("tabular").folder / "shops.csv")
    answers = package.predict(shops)["prediction"]
    tested = shops.with_columns(answers).drop_nulls("sold").tail(len(sample))
    for name in ("shop", "price", "stock", "weather"):
        assert sample[name].equals(tested[name]), name
    assert sample["prediction.prediction"].to_list() == pytest.approx(tested["prediction"].to_list(), abs=1e-4)
    assert sample["outcome"].to_list() == pytest.approx(tested["sold"].to_list(), abs=1e-4)
    counted = {column.plan.name: column.sketch for column in reference.columns}
    assert counted["price"].missing == tested["price"].null_count()
    assert reference.left_out["sold"].startswith("history")
    assert reference.importance is not None
    assert set(reference.importance) == {"shop", "price", "stock", "weather"}
    assert sum(reference.importance.values()) == pytest.approx(1)
    assert reference.errors is not None
    assert reference.errors["rows"] == len(sample)


def test_a_changed_reference_is_found(family: Family, tmp_path: Path) -> None:
    folder = shutil.copytree(family("puzzle").package, tmp_path / "package")
    package = Package.load(folder, replay=False)
    assert package.drift_reference() is not None
    for name in (REFERENCE_FILE, SAMPLE_FILE):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + b"x")
        with pytest.raises(PackageError, match=f"{name} has the sha256 .* it was changed"):
            Package.load(folder, replay=False)
        with pytest.raises(PackageError, match=name):
            _ = package.drift_reference(), package.drift_sample()
        (folder / name).write_bytes(content)
    (folder / REFERENCE_FILE).unlink()
    with pytest.raises(PackageError, match=f"lacks {REFERENCE_FILE}"):
        Package.load(folder, replay=False)


def test_a_package_of_before_has_none_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = Package.load(small_package(tmp_path / "old"))
    assert package.drift_reference() is None
    assert package.drift_sample() is None
    assert main(["package", "show", str(package.path)]) == 0
    assert "export it again, or build one with `lightning-app monitor reference" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_card_and_package_show_say_which_columns_matter(family: Family, capsys: pytest.CaptureFixture[str]) -> None:
    package = family("tabular").package
    assert main(["package", "show", str(package)]) == 0
    shown = capsys.readouterr().out
    assert "importance" in shown
    reference = Package.load(package, replay=False).drift_reference()
    assert reference is not None
    assert reference.importance is not None
    most, share = max(reference.importance.items(), key=lambda item: item[1])
    assert f"| {most} | {share:.1%} |" in (package / "MODEL_CARD.md").read_text()
    assert f"{share:.1%}" in shown


def test_a_reference_is_made_of_labelled_rows_or_of_a_journal(
    family: Family, journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shops, package = family("tabular").folder / "shops.csv", str(family("tabular").package)
    words = ["monitor", "reference", package, str(shops), "--outcome", "sold", "--output", "own"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 600
    own, exported = Reference.read("own"), Package.load(package, replay=False).drift_reference()
    assert exported is not None
    assert [column.plan for column in own.columns] == [column.plan for column in exported.columns]
    assert own.left_out.keys() >= {"sold", "date"}
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    series = str(family("forecasting").package)
    assert main(["monitor", "reference", series, str(family("forecasting").folder / "waves.csv"), "--output", "s"]) == 2
    assert "give an export of its journal" in capsys.readouterr().err
    assert main(["journal", "export", journal, "--model", "forecasting", "--output", "answered.parquet"]) == 0
    assert main(["monitor", "reference", series, "answered.parquet", "--output", "s"]) == 0
    of_series, known = Reference.read("s"), Package.load(series, replay=False).drift_reference()
    assert known is not None
    assert of_series.rows == 1
    assert {column.plan.source for column in of_series.columns} >= {
        column.plan.source for column in known.columns if column.role != "outcome"
    }
