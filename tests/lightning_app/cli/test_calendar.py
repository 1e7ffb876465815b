"""Calendar features that a config leaves to the data."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from datamodules import LongForecastingDataModule, LongTableFile
from lightning_app.__main__ import main
from tests.conftest import only_run

FitArgs = Callable[..., list[str]]
PATCH = (
    "--model.network", "PatchTransformer", "--model.network.patch_size", "8", "--model.network.stride", "8",
    "--model.network.hidden_size", "8", "--model.network.num_layers", "1", "--model.network.norm", "ReversibleNorm",
    "--model.network.norm.mode", "std",
)  # fmt: skip


def calendar_of(run: Path) -> list[str]:
    chosen: list[str] = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["calendar"]
    return chosen


@pytest.mark.slow
def test_features_that_matter_are_chosen_said_kept_and_packaged(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--data.calendar", "auto", *PATCH)) == 0
    assert "data: calendar: hour (" in capsys.readouterr().out
    run = only_run(table_file.parent / "runs")
    assert calendar_of(run) == ["hour"]
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    assert '"hour"' in Path("package/series.json").read_text()


def test_a_network_without_future_covariates_is_given_none(
    fit_args: FitArgs, table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_args("--data.calendar", "auto")) == 0
    assert "data.calendar: auto takes none, as PhaseTransformer has no future_covariates" in capsys.readouterr().out
    assert calendar_of(only_run(table_file.parent / "runs")) == []
    assert main(fit_args("--data.calendar", "[hour]")) == 2
    assert "takes no future_covariates" in capsys.readouterr().err


def test_a_long_table_needs_a_list() -> None:
    with pytest.raises(ValueError, match="data.calendar: 'auto' given"):
        LongForecastingDataModule(
            series=LongTableFile(path="long.csv"),
            look_back=4,
            horizon=2,
            calendar="auto",  # type: ignore[arg-type]
        )
