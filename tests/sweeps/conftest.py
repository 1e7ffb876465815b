from collections.abc import Callable
from pathlib import Path

import pytest

SPACE = """
metrics: {val/mse: minimize}
sampler: random
pruner: PRUNER
space:
  model.network.hidden_size: {type: categorical, choices: [4, 8]}
  model.optimizer.lr: {type: float, low: 0.0005, high: 0.02, log: true}
"""


@pytest.fixture
def sweep_args(fit_args: Callable[..., list[str]], tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments of a sweep over the small forecasting config."""

    def args(*options: str, pruner: str = "none", space: str = SPACE, fit: tuple[str, ...] = ()) -> list[str]:
        file = tmp_path / "small_space.yaml"
        file.write_text(space.replace("PRUNER", pruner))
        _, config, path, *_ = fit_args()
        return ["sweep", config, path, "--space", str(file), "--root", str(tmp_path / "runs"), *options, "--", *fit]

    return args
