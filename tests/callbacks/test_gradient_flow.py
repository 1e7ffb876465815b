from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from callbacks.gradient_flow import gradient_by_lag
from lightning_app.__main__ import main
from models.layers.gate import Gate
from models.recurrent import Encoder, LSTMEncoder, RecurrentLanguageModel, RecurrentState
from tests.conftest import only_run

LOOK = ("--trainer.callbacks+=GradientFlow", "--trainer.callbacks.every_n_steps=1")


class Broken(Encoder):
    """Cuts the graph of one parameter, never uses another, and keeps its write gate shut."""

    def __init__(self, *, input_size: int) -> None:
        super().__init__()
        self.input_size = self.output_size = input_size
        self.detached = nn.Parameter(torch.ones(input_size))
        self.unheard = nn.Parameter(torch.ones(input_size))
        self.plasticity = Gate(input_size=input_size, num_gates=2, openness=1e-9)

    def initial_state(self, num_lanes: int) -> RecurrentState:
        return torch.zeros(num_lanes, 1)

    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        written = self.plasticity(chunk)[..., :1]
        return chunk * self.detached.detach() + written + 0.0 * self.unheard, state


@pytest.mark.usefixtures("rendered")
@pytest.mark.filterwarnings("always")
def test_dead_gradients_and_gates_are_named(
    stream_args: Callable[..., list[str]], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    encoder = ("--model.encoder=tests.callbacks.test_gradient_flow.Broken", "--model.encoder.input_size=6")
    assert main(stream_args(*encoder, *LOOK)) == 0
    said = [str(warning.message) for warning in recwarn if "GradientFlow" in str(warning.message)]
    assert sum("encoder.detached: no gradient" in line for line in said) == 1
    assert sum("encoder.unheard: gradient is exactly zero" in line for line in said) == 1
    assert sum("encoder.plasticity: gate is shut" in line for line in said) == 1
    assert not any("embedding" in line or "output" in line for line in said)
    assert (only_run(tmp_path / "runs") / "gradient_flow.png").stat().st_size > 10_000


def test_a_healthy_model_is_not_complained_of_and_trains_the_same(
    stream_args: Callable[..., list[str]], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    from tests.conftest import load_weights, run_folders

    assert main(stream_args(*LOOK)) == 0
    assert main(stream_args()) == 0
    assert not [warning for warning in recwarn if "GradientFlow" in str(warning.message)]
    watched, alone = (load_weights(folder / "checkpoints/last.ckpt") for folder in run_folders(tmp_path / "runs"))
    assert all(torch.equal(watched[name], weight) for name, weight in alone.items())


def test_the_gradient_by_lag_ends_where_a_document_starts() -> None:
    torch.manual_seed(0)
    model = RecurrentLanguageModel(encoder=LSTMEncoder(input_size=6, hidden_size=6), vocab_size=11, chunk_size=8)
    reset = torch.zeros(3, 8, dtype=torch.bool)
    reset[:, [0, 4]] = True
    by_lag = gradient_by_lag(model, {"tokens": torch.randint(11, (3, 8)), "reset": reset})
    assert by_lag[0] == 1
    assert (by_lag[:4] > 0).all()
    assert (by_lag[4:] == 0).all()


def test_every_n_steps_below_one_is_refused(
    stream_args: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(stream_args(LOOK[0], "--trainer.callbacks.every_n_steps=0")) == 2
    assert "every_n_steps: 0 given, at least 1 is needed" in capsys.readouterr().err
