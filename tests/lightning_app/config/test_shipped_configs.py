"""Configs that come with the package are found by their names, from any folder; a user's own file wins."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from lightning_app.__main__ import main
from lightning_app.config.shipped_configs import SHIPPED, find_config, shipped_names
from tests.conftest import CONFIGS

NAIVE = "forecasting/co2_naive"


@pytest.mark.parametrize("name", [NAIVE, f"{NAIVE}.yaml", f"configs/{NAIVE}.yaml"])
def test_a_shipped_config_is_found_from_an_empty_folder(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", f"--config={name}", "--print_config"]) == 0
    assert "RepeatLast" in capsys.readouterr().out


def test_every_file_has_a_name_that_finds_it() -> None:
    configs = [path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "features"]  # those are definitions
    assert len(shipped_names()) == len(configs)
    assert all(Path(find_config(name)).samefile(SHIPPED / f"{name}.yaml") for name in shipped_names())


def test_a_users_own_file_of_that_name_wins_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    own = Path(f"{NAIVE}.yaml")
    own.parent.mkdir()
    config = yaml.safe_load((CONFIGS / own).read_text())
    own.write_text(yaml.safe_dump({**config, "seed_everything": 77}))
    for verb in (["fit", "-c", NAIVE, "--print_config"], ["fit", "-c", str(own), "--print_config"]):
        assert main(verb) == 0
        written = capsys.readouterr()
        assert "seed_everything: 77" in written.out
        assert written.err == f"config: {own} of this folder is used, not the one of that name that comes with " + (
            "lightning-app\n"
        )
    own.write_bytes((CONFIGS / own).read_bytes())  # a copy hides nothing
    assert main(["fit", "-c", NAIVE, "--print_config"]) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit", "-c", "forecasting/co2_nave"], "config: 'forecasting/co2_nave' does not exist, here or among the"),
        (["test", "-c", "co2_naive.yaml"], "did you mean 'forecasting/co2_naive'?"),
        (["compare", NAIVE, "mine.yaml"], "configs: 'mine.yaml' does not exist"),
        (["sweep", "-c", NAIVE, "--space", "sweeps/co2"], "space: 'sweeps/co2' does not exist, here or among"),
        (["promote", "co2@1", "--to", "champion", "--gates", "gates/defalt"], "did you mean 'gates/default'?"),
    ],
)
def test_a_name_that_is_none_is_refused(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_help_of_a_verb_fits_a_screen_and_imports_nothing_heavy(verb: str) -> None:
    code = (
        "import sys; from lightning_app.__main__ import main; main(sys.argv[1:]); "
        "assert not {'torch', 'lightning', 'jsonargparse', 'numpy', 'yaml'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    command = [sys.executable, "-c", code, verb, "-c", NAIVE, "--help"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = answer.stdout.splitlines()
    assert len(lines) <= 40
    assert max(len(line) for line in lines) <= 88
    assert f"example: lightning-app {verb}" in answer.stdout


def test_help_all_knows_every_option_of_the_short_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    named = set(re.findall(r"^  (?:-c, )?(--[a-z_.]+)", capsys.readouterr().out, re.MULTILINE))
    assert main(["fit", "--help", "all"]) == 0
    everything = capsys.readouterr().out
    assert len(everything.splitlines()) > 300
    of_classes = {"--model.optimizer.lr", "--model.network", "--data.batch_size"}  # arguments of the class in use
    assert not [option for option in named - of_classes if option not in everything]
    assert of_classes < named


@pytest.mark.slow
def test_an_installed_wheel_fits_the_example_of_its_help_from_an_empty_folder(tmp_path: Path) -> None:
    root = CONFIGS.parent
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", str(root), "--no-deps", "-w", "wheel"], check=True)
    (wheel,) = Path("wheel").glob("*.whl")
    venv.create("fresh", with_pip=False, symlinks=True)
    python = tmp_path / "fresh" / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", str(wheel)], check=True)
    (site,) = Path("fresh").glob("lib/*/site-packages")
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "base.pth").write_text("\n".join(others))  # everything else comes from this environment
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    Path("empty").mkdir()
    for words in ("fit -c forecasting/co2_phase --trainer.max_epochs 1", "compare forecasting/co2_naive"):
        command = [str(python.parent / "lightning-app"), *words.split()]
        answer = subprocess.run(command, cwd="empty", env=environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
