"""What a command does not import, and that it is all there for who asks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lightning_app import deferred_imports

HEAVY = ("torch._dynamo", "torch._inductor", "sympy", "scipy.signal", "scipy.stats", "matplotlib", "sklearn", "pandas")
FIT = """
import json, sys
from lightning_app.__main__ import main

assert main(sys.argv[1:]) == 0
print(json.dumps({"imported": sorted(sys.modules)}))
"""
REST = """
said = {}
import torch
from lightning.pytorch import Trainer
from tests.lightning_app.boring import Plain, PlainData
from torchmetrics import MeanSquaredError

graphs = []
def record(graph, inputs):
    graphs.append(graph)
    return graph.forward

module = Plain(optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.1))
module.log = lambda *args: None  # dynamo cannot trace Lightning's, with or without deferred imports
network = module.layer
before = network.weight.clone()
trainer = Trainer(max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu")
trainer.fit(torch.compile(module, backend=record), PlainData())
said["graphs of a module"], said["trained"] = len(graphs), not torch.equal(before, network.weight)
graphs.clear()

optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
@torch.compile(backend=record)
def step():
    optimizer.zero_grad()
    network(torch.ones(1, 4)).sum().backward()
    optimizer.step()
step()
said["graphs of a step"] = len(graphs)

metric = MeanSquaredError()
metric.update(torch.ones(2), torch.zeros(2))
import matplotlib
matplotlib.use("agg")
said["drawn"] = type(metric.plot()[0]).__name__
import scipy.signal
said["hamming"] = scipy.signal.hamming is scipy.signal.windows.hamming
said["exported"] = type(torch.export.export(network, (torch.ones(1, 4),))).__name__
print(json.dumps(said))
"""


def test_a_fit_imports_nothing_heavy(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    assert not set(HEAVY) & set(_last_words(FIT, fit_args, tmp_path)["imported"])


@pytest.mark.slow
def test_what_a_fit_did_not_import_works_after_it(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    assert _last_words(FIT + REST, fit_args, tmp_path) == {
        "graphs of a module": 2,  # training, validation
        "trained": True,
        "graphs of a step": 2,  # forward, update
        "drawn": "Figure",
        "hamming": True,
        "exported": "ExportedProgram",
    }


def _last_words(code: str, fit_args: Callable[..., list[str]], folder: Path) -> dict[str, Any]:
    """What a script with the command line of a short fit printed at last."""
    script = folder / "script.py"
    script.write_text(code)
    words = fit_args("--trainer.max_epochs", "1", "--run.wandb", "disabled", "--trainer.enable_progress_bar", "false")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.fixture
def importer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], object]]:
    """Runs a line of code in a module while whose import a package, `heavy`, is deferred."""
    package = tmp_path / "heavy"
    package.mkdir()
    (package / "__init__.py").write_text("from heavy.part import number\nother = 2\n")
    (package / "part.py").write_text("from builtins import object as kind\nnumber = kind()\n")
    (package / "apart.py").write_text("letter = 'a'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(deferred_imports.IMPORTERS, "needs_heavy", ("heavy",))
    monkeypatch.setitem(deferred_imports.PLACEHOLDERS, "heavy", {"light": 1})

    def run(line: str) -> object:
        (tmp_path / "needs_heavy.py").write_text(f"{line}\n")
        return import_module("needs_heavy").got

    yield run
    for name in ("heavy", "heavy.part", "heavy.apart", "needs_heavy"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("line", ["from heavy import light as got", "import heavy\ngot = heavy.light"])
def test_a_name_of_the_placeholder_imports_nothing(importer: Callable[[str], object], line: str) -> None:
    assert importer(line) == 1
    assert "heavy" not in sys.modules
    assert import_module("heavy").other == 2


@pytest.mark.parametrize(
    "line",
    [
        "from heavy import other as got",
        "import heavy as renamed\ngot = renamed.other",
        "import heavy\nimport heavy.apart\ngot = 2 if heavy.apart.letter == 'a' else 0",
        "from heavy.apart import letter\ngot = 2 if letter == 'a' else 0",
    ],
)
def test_any_other_name_imports_the_package(importer: Callable[[str], object], line: str) -> None:
    assert importer(line) == 2
    assert sys.modules["heavy"].__spec__ is not None


def test_a_submodule_that_its_package_imports_is_run_once(importer: Callable[[str], object]) -> None:
    number = importer("import heavy.part\ngot = heavy.part.number")
    assert number is sys.modules["heavy"].number is sys.modules["heavy.part"].number
    assert sys.modules["heavy.part"].__spec__.origin.endswith("part.py")


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package, `late`, whose code is run when it is asked for a name."""
    package = tmp_path / "late"
    package.mkdir()
    (package / "__init__.py").write_text("from late.part import number\n")
    (package / "part.py").write_text("from builtins import object as kind\nnumber = kind()\n")
    (package / "alone.py").write_text("letter = 'a'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(deferred_imports.RUN_WHEN_ASKED, "late", ("alone",))
    yield package
    for name in ("late", "late.part", "late.alone"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "runs"), [("late", False), ("late.alone", False), ("late.part", True)])
def test_a_package_is_run_when_it_is_asked_for_a_name(late: Path, name: str, runs: bool) -> None:
    module = import_module(name)
    package = sys.modules["late"]
    assert ("number" in vars(package)) == runs == ("late.part" in sys.modules)
    assert not hasattr(package, "__wrapped__")
    assert "number" in dir(package)
    assert package.number is sys.modules["late.part"].number
    assert name != "late.part" or module.number is package.number  # run once
    assert not hasattr(package, "unknown")


def test_a_package_that_cannot_be_run_says_so_to_all_who_ask(late: Path) -> None:
    (late / "part.py").write_text("import no_such_module\n")
    package = import_module("late")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            package.number  # noqa: B018
