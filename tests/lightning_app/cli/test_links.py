"""Links between a data module and a model of the user's own."""

from pathlib import Path
from typing import ClassVar

import pytest
import torch
import yaml
from torch import Tensor, nn

from lightning_app.__main__ import main
from lightning_app.cli import run
from tests.lightning_app.boring import Plain, PlainData


class Backbone(nn.Module):
    def __init__(self, *, num_bands: int, depth: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(num_bands, depth)

    def forward(self, batch: Tensor) -> Tensor:
        return self.layer(batch)


class Bands(Plain):
    def __init__(self, *, num_bands: int, backbone: Backbone | None = None, loss: nn.Module | None = None) -> None:
        super().__init__(width=num_bands)
        self.num_bands = num_bands
        self.backbone = backbone
        self.loss = loss


class BandData(PlainData):
    model_arguments: ClassVar[tuple[str, ...]] = ("num_bands",)

    @property
    def num_bands(self) -> int:
        return self.width


class UndeclaredData(PlainData):
    """Names nothing; `num_features` was linked before data modules named anything."""

    @property
    def num_features(self) -> int:
        return self.width


class Features(Plain):
    def __init__(self, num_features: int, **_: int) -> None:
        super().__init__(width=num_features)


HERE = "tests.lightning_app.cli.test_links"
OPTIONS = ["--data.width=3", "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_data_module_names_what_it_links_to_a_model_and_to_its_networks_of_any_name() -> None:
    words = [f"--model={HERE}.Bands", f"--model.backbone={HERE}.Backbone", f"--data={HERE}.BandData"]
    cli = run(["fit", *words, *OPTIONS])
    assert (cli.model.num_bands, cli.model.backbone.layer.in_features) == (3, 3)
    assert cli.model.hparams["num_bands"] == cli.model.hparams["backbone"]["init_args"]["num_bands"] == 3
    resolved = yaml.safe_load(cli.folder.config.read_text())["model"]["init_args"]
    assert "num_bands" not in resolved  # it is the data's: another data module brings its own
    assert "num_bands" not in resolved["backbone"].get("init_args", {})
    run(["fit", "-c", str(cli.folder.config), "--run.root=again"])


@pytest.mark.parametrize("nested", [False, True])
def test_links_are_found_in_configs_and_in_files_that_they_name(nested: bool) -> None:
    data = {"class_path": f"{HERE}.BandData", "init_args": {"width": 5}}
    Path("data.yaml").write_text(yaml.safe_dump(data))
    config = {"data": "data.yaml" if nested else data, "model": f"{HERE}.Bands"}
    Path("bands.yaml").write_text(yaml.safe_dump(config))
    assert run(["fit", "-c", "bands.yaml", *OPTIONS[1:]]).model.num_bands == 5


def test_a_value_that_the_data_contradicts_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--model={HERE}.Bands", "--model.num_bands=4", f"--data={HERE}.BandData"]
    assert main(["fit", *words, *OPTIONS]) == 2
    assert "model.num_bands: 4 given, but the data has 3; leave it out" in capsys.readouterr().err


def test_a_data_module_that_names_nothing_links_the_names_that_were_linked_before_it_could() -> None:
    cli = run(["fit", f"--model={HERE}.Features", f"--data={HERE}.UndeclaredData", *OPTIONS])
    assert cli.model.layer.in_features == 3


def test_what_no_data_module_names_has_to_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", f"--model={HERE}.Bands", "--data=tests.lightning_app.boring.PlainData", *OPTIONS]) == 2
    assert "model: Bands needs num_bands" in capsys.readouterr().err


def test_a_module_argument_that_is_none_or_takes_no_link_is_left_alone() -> None:
    words = [f"--model={HERE}.Bands", "--model.loss=torch.nn.MSELoss", f"--data={HERE}.BandData"]
    cli = run(["fit", *words, *OPTIONS])
    assert isinstance(cli.model.loss, torch.nn.MSELoss)
    assert "num_bands" not in str(cli.model.hparams["loss"])


class MisspelledData(BandData):
    model_arguments: ClassVar[tuple[str, ...]] = ("num_bands", "num_bars")


class TextData(BandData):
    model_arguments = "num_bands"  # type: ignore[assignment]


class MisspelledCallback(Bands):
    run_callbacks = ("tests.nowhere:Bell",)


class NoCallback(Bands):
    run_callbacks = (f"{HERE}:BandData",)


class TextCallback(Bands):
    run_callbacks = f"{HERE}:BandData"


@pytest.mark.parametrize(
    ("model", "data", "reason"),
    [
        (
            "Bands",
            "MisspelledData",
            "data: MisspelledData.model_arguments names 'num_bars', unreadable",
        ),
        ("Bands", "TextData", "data: TextData.model_arguments: 'num_bands' given, a tuple"),
        ("MisspelledCallback", "BandData", "MisspelledCallback.run_callbacks says 'tests.nowhere:Bell', of which no"),
        ("NoCallback", "BandData", f"NoCallback.run_callbacks says '{HERE}:BandData', which is"),
        ("TextCallback", "BandData", f"TextCallback.run_callbacks: '{HERE}:BandData' given"),
    ],
)
def test_a_wrong_declaration_of_a_class_is_named(
    model: str, data: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", f"--model={HERE}.{model}", f"--data={HERE}.{data}", *OPTIONS]) == 2
    assert reason in capsys.readouterr().err
