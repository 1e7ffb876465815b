"""The worked example of docs/data.md is true: its table, its contract, its commands and what they print."""

import re
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
SECTION = PAGE.partition("## Contracts\n")[2].partition("\n## ")[0]


def block(kind: str) -> str:
    """The first block of code of a kind."""
    found = re.search(rf"```{kind}\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def rides() -> Path:
    Path("rides.csv").write_text(block("csv"))
    Path("rides.yaml").write_text(block("yaml"))
    return Path("rides.csv")


def test_the_commands_of_the_page_print_what_it_says(rides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    consoles = re.findall(r"```console\n\$ lightning-app (.*?)\n(.*?)```", SECTION, re.DOTALL)
    assert [words.split()[1] for words, _ in consoles] == ["profile", "check"]
    for words, said in consoles:
        assert main(words.split()) == 0
        assert capsys.readouterr().out == said
    assert pl.read_parquet("bad.parquet")["row"].to_list() == [2, 3]
    assert main(["data", "check", "rides.csv", "--contract", "rides.yaml"]) == 1
    assert main(["data", "check", "rides.csv", "--contract", "draft.yaml"]) == 0


def test_the_program_of_the_page_runs(rides: Path) -> None:
    names: dict[str, object] = {"table": pl.read_csv(rides, infer_schema=False)}
    (program,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    exec(compile(program, "docs/data.md", "exec"), names)
    assert [len(names[name]) for name in ("table", "good", "bad")] == [7, 5, 2]  # type: ignore[arg-type]


def test_every_kind_of_rule_is_on_the_page() -> None:
    from features.contracts.rules import RULES

    kinds = {str(rule.__struct_config__.tag) for rule in RULES}
    assert kinds == set(re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE))
