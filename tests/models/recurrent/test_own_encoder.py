"""An encoder of a user's own, in one file, has everything that the shipped ones have."""

from collections.abc import Callable
from pathlib import Path

import torch

from lightning_app.__main__ import main
from tests.conftest import only_run

CODE = '''
import torch
from torch import nn

from models.recurrent import Encoder


class Leaky(Encoder):
    """A mean of the past that fades out."""

    def __init__(self, *, input_size: int) -> None:
        super().__init__()
        self.input_size = self.output_size = input_size
        self.rate = nn.Parameter(torch.zeros(input_size))

    def initial_state(self, num_lanes):
        return {"mean": torch.zeros(num_lanes, self.input_size)}

    def encode(self, chunk, state):
        mean, outputs = state["mean"], []
        for step in chunk.unbind(1):
            mean = mean.lerp(step, self.rate.sigmoid())
            outputs.append(mean)
        return torch.stack(outputs, 1), {"mean": mean}
'''


def test_an_encoder_of_ones_own_trains_from_one_file(stream_args: Callable[..., list[str]], tmp_path: Path) -> None:
    Path("leaky.py").write_text(CODE)
    import sys

    sys.path.insert(0, str(tmp_path))
    try:
        assert main(stream_args("--model.encoder=leaky.Leaky", "--model.encoder.input_size=5")) == 0
    finally:
        sys.path.remove(str(tmp_path))
    saved = torch.load(only_run(tmp_path / "runs") / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["state_dict"]["encoder.rate"].abs().sum() > 0
    assert [tuple(tensor.shape) for tensor in saved["carried_state"]] == [(4, 5)]
