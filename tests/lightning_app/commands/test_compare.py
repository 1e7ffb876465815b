import json
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from tests.conftest import CONFIGS

NAIVE, SEASONAL = (str(CONFIGS / f"forecasting/co2_{name}.yaml") for name in ("naive", "seasonal"))


def test_compare_puts_configs_into_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", SEASONAL, NAIVE, "--seeds", "1", "2"]) == 0
    (table,) = Path("runs/compare").glob("*/table.md")
    rows = [line for line in table.read_text().splitlines() if "co2" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| co2_seasonal", "| co2_naive"]
    seasonal, naive = json.loads(table.with_suffix(".json").read_text())
    assert seasonal["metrics"]["test/mse"] < 0.5 * naive["metrics"]["test/mse"]
    assert naive["spread"]["test/mse"] == 0
    assert len(naive["folders"]) == 2
    assert f"table: {table}" in capsys.readouterr().out


def test_words_after_two_dashes_go_to_each_fit() -> None:
    assert main(["compare", NAIVE, "--", "--data.horizon", "26"]) == 0
    (report,) = Path("runs/co2_naive").glob("*/report.md")
    assert "horizon 26" in report.read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "compare: the following arguments are required"),
        (["no.yaml"], "'no.yaml' does not exist"),
        (
            [NAIVE, "--splits", "2", "--", "--data.split", "[0.6, 0.8, 1.0]"],
            "co2_naive.yaml is split by [0.6, 0.8, 1.0], which is always the same split; take --seeds",
        ),
    ],
)
def test_bad_usage_is_exit_code_2(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *args]) == 2
    assert message in capsys.readouterr().err
