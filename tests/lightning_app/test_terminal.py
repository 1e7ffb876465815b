"""What strangers wrote is shown as it stands: no escape codes, no markup."""

from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main
from tests.packages import COLUMNS, small_package
from tests.registries import place_registry

CODES = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b1A\u202e"
LABELS = (f"low{CODES}", "[bold red]middle[/]", "[link=https://host]high[/link]:smile:")


def check(text: str) -> str:
    for code in "\x1b\x07\x9b\u202e":
        assert code not in text
    return text


def test_texts_of_packages_tables_and_registries_reach_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    place_registry(tmp_path, request.config)
    columns = (f"length{CODES}", *COLUMNS[1:])
    package = str(
        small_package(tmp_path / "package", labels=LABELS, columns=columns, changes={"lineage": {"by": CODES}})
    )
    other = str(small_package(tmp_path / "other", labels=LABELS[::-1], columns=columns, seed=1))
    assert main(["package", "show", package]) == 0
    out = check(capsys.readouterr().out)
    assert "low\\x1b]0;owned\\x07\\x1b[2J\\x1b[31m\\x9b1A\\u202e" in out
    assert "[bold red]middle[/]" in out
    assert "[link=https://host]high[/link]:smile:" in out
    assert main(["package", "diff", package, other]) == 0
    check(capsys.readouterr().out)

    frame = pl.DataFrame({name: [1.0, 2.0] for name in columns}).with_columns(key=pl.lit(CODES), label=pl.lit(CODES))
    frame.write_csv("data.csv")
    assert main(["score", package, "data.csv", "--output", "found.parquet"]) == 0
    said = capsys.readouterr()
    check(said.out + said.err)
    assert pl.read_parquet("found.parquet")["key"].to_list() == [CODES] * 2  # data stay what they are
    assert main(["score", package, "data.csv", "--output", "found.parquet", "--keys", CODES]) == 2
    assert "there is no column" in check(capsys.readouterr().err)

    assert main(["register", package, "--name", "phase"]) == 0
    assert main(["promote", "phase@1", "--to", "champion", "--force", f"[red]{CODES}"]) == 0
    for words in (["show", "phase"], ["show", "phase@1"], ["list"]):
        assert main(["models", *words]) == 0
        out = check(capsys.readouterr().out)
        assert ("[red]\\x1b]0;owned" in out) == (words == ["show", "phase"])
