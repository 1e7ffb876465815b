import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_app.__main__ import main
from tests.conftest import load_weights, run_folders


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_fit_has_the_checkpoint_of_a_plain_one(fit_args: Callable[..., list[str]], tmp_path: Path) -> None:
    plain = ("--model.network.dropout", "0", "--trainer.max_epochs", "1")
    assert main(fit_args(*plain)) == 0
    assert main(fit_args(*plain, "--trainer.callbacks+=Compile")) == 0
    eager, compiled = (load_weights(folder / "checkpoints" / "last.ckpt") for folder in run_folders(tmp_path / "runs"))
    assert eager.keys() == compiled.keys()
    assert max(float((eager[name].double() - compiled[name].double()).abs().max()) for name in eager) < 0.05
