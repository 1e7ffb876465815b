"""`lightning-app monitor report`: both files or none, a summary that fits a terminal, and exit codes for CI."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lightning_app.__main__ import main
from lightning_app.monitoring.page.report_files import DATA, PAGE, ReportFile, read_report, write_report
from tests.full_disk import files_of_at_most
from tests.lightning_app.monitoring.page.sample_reports import sample_report
from tests.lightning_app.monitoring.served import DAY, START, features, write_answers, write_package_with_reference

CONFIG = """
registry: sqlite:///mlflow.db
packages: [price]
title: Prices watched
models:
  - {model: price, window: 2d, history: 6d, reference: reference, quality: {outcome_within: 1d},
     drift: {multivariate: false}}
"""


def at(day: float) -> str:
    return datetime.fromtimestamp(START + day * DAY, UTC).isoformat()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four calm days of 100 answers each, and two in which length and width have moved."""
    folder = tmp_path_factory.mktemp("served")
    package, _ = write_package_with_reference(folder)
    url = f"sqlite:///{folder}/journal.db"
    calm = START + np.linspace(0, 4, 400, endpoint=False) * DAY
    write_answers(url, package, features(400), list(calm))
    moved = START + 4 * DAY + np.linspace(0, 2, 200, endpoint=False) * DAY
    write_answers(url, package, features(200, seed=2, shift=1.0), list(moved), error=1.0)
    (folder / "monitor.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(autouse=True)
def place(served: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(served)
    return served


def report(*words: str) -> int:
    return main(["monitor", "report", "--config", "monitor.yaml", "--journal", "sqlite:///journal.db", *words])


def test_report_says_in_eighty_columns_what_it_writes_with_pictures(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert report("--until", at(6), "--output", str(tmp_path / "new" / "report")) == 0
    said = capsys.readouterr().out
    assert "price: act now" in said
    assert "length" in said
    tables = [line for line in said.splitlines() if line[:1] in "┏┃┡│└"]
    assert tables
    assert max(map(len, tables)) <= 80
    page = (tmp_path / "new" / "report" / PAGE).read_text()
    assert "<title>Prices watched</title>" in page
    assert "have drifted since" in page
    content = read_report(tmp_path / "new" / "report" / DATA)
    assert content.schema_version == content.reports[0].schema_version == 1
    assert content.reports[0].model == "price"
    again = msgspec.json.decode(msgspec.json.encode(content), type=ReportFile)
    assert again == content


def test_fail_on_drift_is_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--until", at(6), "--fail-on", "drift") == 1
    assert "--fail-on drift: drift: price (" in capsys.readouterr().err
    assert report("--until", at(6), "--fail-on", "alert") == 0
    assert report("--until", at(4), "--fail-on", "drift") == 0


def test_since_and_until_are_what_is_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--since", at(1), "--until", at(4), "--json") == 0
    printed = msgspec.json.decode(capsys.readouterr().out, type=ReportFile)
    assert printed.reports[0].window.until - printed.reports[0].window.since == 3 * DAY
    assert sum(version.rows for version in printed.reports[0].versions) == 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--since", "2024-01-01", "--window", "2d"], "--since: given together with --window"),
        (["--since", "2024-01-02", "--until", "2024-01-02"], "at least a minute before the end"),
        (["--model", "prise"], "did you mean 'price'"),
        (["--every", "3d"], "every <= window <= history"),
        (["--window", "soon"], "--window: 'soon' is no duration"),
        (["--output", "monitor.yaml/report"], "output: monitor.yaml/report cannot be written"),
        (["--output", "monitor.yaml"], "output: monitor.yaml cannot be written"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(*(words if "--until" in words or "--since" in words else [*words, "--until", at(6)])) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_missing_journal_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "report", "--journal", "sqlite:///none.db"]) == 2
    assert "none.db" in capsys.readouterr().err


def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path) -> None:
    reports = (sample_report(),)
    write_report(tmp_path, reports, problems={}, title="before")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with files_of_at_most(50_000):
        for folder in (tmp_path, tmp_path / "new"):
            with pytest.raises(OSError, match=PAGE):
                write_report(folder, reports, problems={}, title="after")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_report_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATA).write_text('{"schema_version": 99, "reports": [{"unknown": 1}]}')
    with pytest.raises(ValueError, match="schema version 99"):
        read_report(tmp_path / DATA)
