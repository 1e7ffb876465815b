import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import fx

from lightning_app.__main__ import main
from tests.conftest import load_weights, run_folders

PLAIN = ("--model.network.dropout", "0", "--trainer.max_epochs", "1")


@pytest.fixture
def graphs() -> Iterator[list[fx.GraphModule]]:
    """What torch.compile was given, run as it is."""
    taken: list[fx.GraphModule] = []

    def backend(graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        taken.append(graph)
        return graph.forward

    torch.compiler.set_default_backend(backend)
    yield taken
    torch.compiler.set_default_backend(None)
    torch.compiler.reset()


@pytest.mark.slow
def test_the_network_goes_through_the_compiler(
    fit_args: Callable[..., list[str]], tmp_path: Path, graphs: list[fx.GraphModule]
) -> None:
    assert main(fit_args(*PLAIN)) == 0
    assert not graphs
    assert main(fit_args(*PLAIN, "--trainer.callbacks+=Compile")) == 0
    assert graphs
    assert _largest_difference(tmp_path) < 1e-6


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_fit_has_the_checkpoint_of_a_plain_one(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    assert main(fit_args(*PLAIN)) == 0
    assert not counters["stats"]["unique_graphs"]
    assert main(fit_args(*PLAIN, "--trainer.callbacks+=Compile")) == 0
    assert counters["stats"]["unique_graphs"]
    assert counters["inductor"]
    assert _largest_difference(tmp_path) < 0.05


def _largest_difference(folder: Path) -> float:
    """Between the weights of two fits."""
    eager, compiled = (load_weights(run / "checkpoints" / "last.ckpt") for run in run_folders(folder / "runs"))
    assert eager.keys() == compiled.keys()
    return max(float((eager[name].double() - compiled[name].double()).abs().max()) for name in eager)
