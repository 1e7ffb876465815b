"""What a command does not import, and that it is all there for who asks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lightning_app import deferred_imports
from tests.conftest import CONFIGS

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
    words = fit_args("--trainer.max_epochs", "1", "--run.wandb", "disabled", "--trainer.enable_progress_bar", "false")
    said: dict[str, Any] = _output(code, folder, words)
    return said


def _output(code: str, folder: Path, words: Sequence[str] = ()) -> Any:
    """The last line that a script printed, as JSON."""
    script = folder / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


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


def test_a_submodule_of_a_package_that_is_there_already_is_imported(
    importer: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(deferred_imports.IMPORTERS, "needs_heavy", ("heavy", "heavy.apart"))
    monkeypatch.setitem(deferred_imports.PLACEHOLDERS, "heavy.apart", {})
    import_module("heavy")
    assert importer("import heavy\nimport heavy.apart\ngot = heavy.apart.letter") == "a"


@pytest.mark.slow
def test_metrics_plot_on_axes_of_the_user(tmp_path: Path) -> None:
    code = """
import lightning_app, torch
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection
from matplotlib.figure import Figure
metrics = MetricCollection([MeanSquaredError(), MeanAbsoluteError()])
metrics.update(torch.ones(2), torch.zeros(2))
figure = Figure()
drawn = metrics.plot(ax=figure.subplots(), together=True)
print([len(axes.lines) for axes in figure.axes] == [len(drawn)] == [2])
"""
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == ["True"], done.stderr


def test_a_step_shows_its_closure_no_placeholder_and_sets_the_grad_mode(tmp_path: Path) -> None:
    code = """
import json, sys
import lightning_app, torch
from torch.optim.optimizer import _use_grad_for_differentiable
weight = torch.nn.Parameter(torch.ones(1))
seen = []
class Descent(torch.optim.SGD):
    @_use_grad_for_differentiable
    def step(self, closure):
        closure()
        seen.extend(["torch._dynamo" in sys.modules, torch.is_grad_enabled()])
for differentiable in (False, True):
    Descent([weight], lr=0.1, differentiable=differentiable).step(lambda: None)
print(json.dumps([*seen, torch.is_grad_enabled()]))
"""
    assert _output(code, tmp_path) == [False, False, False, True, True]


def test_objects_of_the_calling_program_are_finalized_at_exit(tmp_path: Path) -> None:
    code = """
from lightning_app.__main__ import main

class Log:
    def __init__(self):
        self.file = open("log.txt", "w")
        self.write = self._write  # a reference cycle

    def _write(self, text):
        self.file.write(text)

log = Log()
log.write("kept")
print(main(["package", "show", "missing"]))
"""
    assert _output(code, tmp_path) == 2
    assert (tmp_path / "log.txt").read_text() == "kept"
