"""Verbs and classes that other installed packages bring: a package in a folder of its own, and what it declares."""

import sys
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.cli import run

SOURCE = '''
from lightning.pytorch import Callback
from tests.lightning_app.boring import Plain, PlainData


def greet(words):
    """Say hello.

    More about it.
    """
    print("hello", words[1:])
    return 7


class ShopModel(Plain):
    pass


class ShopData(PlainData):
    pass


class ShopBell(Callback):
    def on_fit_start(self, trainer, pl_module):
        print("ding")
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a distribution with entry points, `group: {name: value}`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def make(name: str, **groups: dict[str, str]) -> None:
        info = tmp_path / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            line
            for group, points in groups.items()
            for line in (f"[lightning_app.{group}]", *(f"{key} = {value}" for key, value in points.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (info.parent / "shop.py").write_text(SOURCE)

    yield make
    sys.modules.pop("shop", None)


def test_a_verb_of_a_package_is_listed_and_called(install, capsys: pytest.CaptureFixture[str]) -> None:
    install("shop", verbs={"greet": "shop:greet", "fit": "shop:greet"})
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert "  greet           Say hello. (shop)" in page
    assert page.count("Train a model") == 1  # no package hides a verb of ours
    assert "not used:\n  verb 'fit' of shop: this project has one of that name\n" in page
    assert "shop" not in sys.modules
    assert main(["greet", "--loud"]) == 0
    assert "hello ['--loud']" in capsys.readouterr().out


def test_a_broken_verb_is_an_error_when_it_is_called_and_not_before(
    install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("shop", verbs={"greet": "shop:gone", "wave": "shop_without_file:run"})
    install("mall", verbs={"wave": "elsewhere:run"})
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert "  wave " in page
    assert "not used:\n  verb 'wave': two packages bring it, elsewhere:run of mall and shop_without_file:run" in page
    assert main(["greet"]) == 2
    assert "verb 'greet': shop:gone of the package shop cannot be loaded: AttributeError" in capsys.readouterr().err
    assert main(["wave"]) == 2
    assert "two packages bring it" in capsys.readouterr().err
    assert main(["grete"]) == 2
    assert "unknown verb 'grete', allowed: fit" in capsys.readouterr().err


def test_configs_name_classes_of_a_package_without_a_path(install, capsys: pytest.CaptureFixture[str]) -> None:
    install("shop", classes={name: f"shop:{name}" for name in ("ShopModel", "ShopData", "ShopBell")})
    Path("shop.yaml").write_text("model: ShopModel\ndata: {class_path: ShopData}\ntrainer: {callbacks: [ShopBell]}\n")
    cli = run(["fit", "-c", "shop.yaml", "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu"])
    assert type(cli.model).__module__ == "shop"
    assert "ding" in capsys.readouterr().out


def test_a_class_of_a_package_that_cannot_be_loaded_is_named(install, capsys: pytest.CaptureFixture[str]) -> None:
    install("shop", classes={"ShopModel": "shop:Gone"})
    assert main(["fit", "--model=ShopModel", "--data=tests.lightning_app.boring.PlainData"]) == 2
    assert "ShopModel: shop:Gone of the package shop cannot be loaded" in capsys.readouterr().err


def test_a_sweep_draws_classes_of_a_package_by_name(install, capsys: pytest.CaptureFixture[str]) -> None:
    install("shop", classes={"ShopModel": "shop:ShopModel"})
    boring = "tests.lightning_app.boring.Plain"
    Path("plain.yaml").write_text(f"model: {boring}\ndata: {boring}Data\n")
    space = f"model: {{type: class, choices: [ShopModel, {boring}]}}"
    Path("space.yaml").write_text(f"metrics: {{valid_loss: minimize}}\nsampler: grid\nspace: {{{space}}}\n")
    assert main(["sweep", "-c", "plain.yaml", "--space", "space.yaml", "--dry-run"]) == 0
    assert "shop.ShopModel" in capsys.readouterr().out


def test_a_class_of_a_package_is_found_in_a_file_that_a_config_names(install) -> None:
    install("shop", classes={"ShopModel": "shop:ShopModel"})
    Path("inner").mkdir()
    Path("inner/model.yaml").write_text("class_path: ShopModel\n")
    Path("inner/shop.yaml").write_text("model: model.yaml\ndata: tests.lightning_app.boring.PlainData\n")
    cli = run(["fit", "-c", "inner/shop.yaml", "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu"])
    assert type(cli.model).__module__ == "shop"


def test_an_entry_point_that_renames_its_class_and_a_verb_that_is_no_function_are_refused(
    install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("shop", classes={"Other": "shop:ShopModel"}, verbs={"wave": "shop"})
    assert main(["fit", "--model=Other", "--data=tests.lightning_app.boring.PlainData"]) == 2
    assert (
        "Other: an entry point of the package shop for shop:ShopModel, whose name is ShopMo" in capsys.readouterr().err
    )
    assert main(["wave"]) == 2
    assert "verb 'wave': shop of the package shop is no function" in capsys.readouterr().err
