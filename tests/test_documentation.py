"""Every command and every example of the pages that users read is run."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from lightning_app.__main__ import VERBS, main
from tests.conftest import CONFIGS

ROOT = CONFIGS.parent
README = (ROOT / "README.md").read_text()
PAGES = {"README.md": 8, "docs/recurrent.md": 3, "docs/graph.md": 4}
FEW = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "4"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a checkout from where a user runs commands."""
    (tmp_path / "configs").symlink_to(CONFIGS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run_line(line: str) -> None:
    program, verb, *words = shlex.split(line)
    assert program.endswith("lightning-app")
    short = FEW if verb == "fit" and not {"--print_config", "--model.network.help"} & set(words) else []
    assert main([verb, *words, *short]) == 0, line


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_and_the_notebook_of_a_page_run_in_their_order(page: str, project: Path) -> None:
    text = (ROOT / page).read_text()
    lines = re.findall(r"^\$ (lightning-app .+)$", text, re.MULTILINE)
    assert len(lines) == PAGES[page]
    for line in lines:
        run_line(line)
    (notebook,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(notebook, page, "exec"), {})


def test_what_make_demo_runs_runs(project: Path) -> None:
    for line in make("demo"):
        if "lightning-app" in line:
            run_line(line)
    assert len(list(Path("runs/compare").glob("*/table.md"))) == 2


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "lint", "bench", "help"])
def test_make_has_the_targets_that_users_are_told_of(target: str) -> None:
    assert make(target)


def make(target: str) -> list[str]:
    """The lines that a target would run."""
    return subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_table_of_verbs_is_complete() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", README, re.MULTILINE) == list(VERBS)


def test_pages_and_pictures_that_are_linked_exist() -> None:
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links {target}"


def test_a_network_of_ones_own_trains_from_one_file(project: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL)
    (project / "drift.py").write_text(code)
    assert main(["fit", "-c", "configs/forecasting/co2_phase.yaml", "--model.network", "drift.Drift", *FEW]) == 0
