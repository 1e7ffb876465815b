"""Models that carry a state become packages that carry it as tensors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import only_run
from tests.lightning_app.packaging.export.test_forecasting import checkpoint_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "encoder",
    [
        {
            "class_path": "LSTMEncoder",
            "init_args": {
                "input_size": 6,
                "hidden_size": 8,
                "num_layers": 2,
                "dropout": 0.2,
                "locked_dropout": True,
                "weight_drop": 0.1,
            },
        },
        {"class_path": "DeltaMemory", "init_args": {"input_size": 6, "num_layers": 1, "momentum": True}},
    ],
    ids=["lstm", "delta_memory"],
)
def test_a_language_model_reads_text_on_from_where_it_was(
    encoder: dict[str, object], stream_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    arguments = stream_args()
    config = yaml.safe_load((tmp_path / "stream.yaml").read_text())
    config["model"]["init_args"]["encoder"] = encoder
    (tmp_path / "stream.yaml").write_text(yaml.safe_dump(config))
    assert main(arguments) == 0
    run = only_run(tmp_path / "runs")
    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    package = Package.load("package")
    model, data = checkpoint_of(run)
    text = "ab cde gh\n\nf i ab"
    known = {letter: place for place, letter in enumerate(data.vocabulary)}
    tokens = torch.tensor([[known.get(letter, 0) for letter in text]])  # line ends stood between documents alone
    with torch.no_grad():
        expected = model(tokens).log_softmax(dim=-1).numpy()
    whole = package.predict({"text": [text]})["log_probabilities"]
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-5)
    first, state = package.advance({"text": [text[:5]]}, None)
    second, _ = package.advance({"tokens": tokens[:, 5:].numpy()}, state)
    parts = np.concatenate([first["log_probabilities"], second["log_probabilities"]], axis=1)
    np.testing.assert_allclose(parts, expected, rtol=1e-4, atol=1e-5)
    values = package.manifest.metrics["values"]
    assert values["test/perplexity"] == pytest.approx(np.exp(values["test/loss"]))
    tested = (run / "report.md").read_text()
    assert f"| test/perplexity | {values['test/perplexity']:.4f} |" in tested


PUZZLE = """
seed_everything: 3
trainer: {max_epochs: 1, limit_train_batches: 3, accelerator: cpu}
model:
  class_path: PuzzleSolver
  init_args:
    network:
      class_path: TinyRecursiveModel
      init_args:
        {hidden_size: 16, input_size: 16, mixing: length, num_layers: 1, num_latent_updates: 2, num_recursions: 2}
    num_supervision_steps: 2
    renamings: 3
    optimizer: {class_path: AdamW, init_args: {lr: 0.001}}
data:
  class_path: SudokuDataModule
  init_args: {size: 4, num_train: 40, num_val: 20, num_test: 300, batch_size: 20}
"""


def test_puzzles_are_solved_in_one_call() -> None:
    Path("puzzle.yaml").write_text(PUZZLE)
    assert main(["fit", "-c", "puzzle.yaml"]) == 0
    run = only_run(Path("runs"))
    assert main(["export", str(run), "--output", "package"]) == 0
    package = Package.load("package")
    model, data = checkpoint_of(run)
    puzzles = data.split("test")[0]
    with torch.no_grad():
        expected = model(torch.from_numpy(puzzles)).numpy()
    answer = package.predict({"puzzle": puzzles})
    assert (answer["solution"] == expected).mean() > 0.999
    assert ((answer["confidence"] > 0) & (answer["confidence"] < 1)).all()
    assert set(package.manifest.metrics["values"]) == {
        "test/cell_accuracy", "test/exact_accuracy", "test/q_accuracy",
    }  # fmt: skip


TRAJECTORY = """
seed_everything: 3
trainer: {max_epochs: 1, limit_train_batches: 3, accelerator: cpu}
model:
  class_path: TrajectoryForecaster
  init_args:
    encoder: {class_path: GRUEncoder, init_args: {input_size: 6, hidden_size: 8}}
    optimizer: {class_path: AdamW, init_args: {lr: 0.001}}
data:
  class_path: PanelDataModule
  init_args:
    panel: {class_path: PanelFile, init_args: {path: panel.parquet}}
    horizon: 10
    context: 100
    chunk_size: 16
    test_stride: 3
    batch_size: 2
"""


def test_a_trajectory_is_forecast_after_a_history_that_came_in_pieces() -> None:
    rng = np.random.default_rng(0)
    days = np.arange(600).astype("datetime64[D]")
    tables = [
        pl.DataFrame({"date": days, "ticker": name, "close": 100 * np.exp(0.01 * rng.standard_normal(600).cumsum())})
        for name in ("A", "B")
    ]
    pl.concat(tables).write_parquet("panel.parquet")
    Path("trajectory.yaml").write_text(TRAJECTORY)
    assert main(["fit", "-c", "trajectory.yaml"]) == 0
    run = only_run(Path("runs"))
    assert main(["export", str(run), "--output", "package"]) == 0
    package = Package.load("package")
    assert package.manifest.outputs[0].levels is not None
    model, _ = checkpoint_of(run)
    values = np.stack([table["close"].to_numpy()[-150:] for table in tables]).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(package.predict({"values": values})["forecast"], expected, rtol=1e-4)
    state, answer = None, {}
    for part in np.array_split(values, [1, 70, 149], axis=1):
        answer, state = package.advance({"values": part}, state)
    np.testing.assert_allclose(answer["forecast"], expected, rtol=1e-4)
    short = package.predict({"values": values[:, :20]})
    assert (short["volatility"] == 0).all()
    evaluation = pl.read_parquet("package/evaluation.parquet")
    assert set(evaluation["slice.ticker"]) == {"A", "B"}
