"""ONNX files of recurrent layers."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from lightning_app.packaging.export.onnx_file import write_onnx
from lightning_app.packaging.format.signature import StateSpec, TensorSpec


class Recurrent(nn.Module):
    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gru = nn.GRU(3, hidden_size, batch_first=True)
        self.lstm = nn.LSTM(3, hidden_size, batch_first=True)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        first, after = self.gru(x, state[None])
        second, _ = self.lstm(x, (state[None], state[None]))
        return first + second, after[0]


@pytest.mark.slow
def test_every_export_of_a_process_takes_any_length() -> None:
    for hidden_size in (4, 5):
        network = Recurrent(hidden_size).eval()
        model = write_onnx(
            network,
            (torch.randn(2, 6, 3), torch.randn(2, hidden_size)),
            inputs=[TensorSpec("x", "float32", ("batch", "seq_len", 3))],
            outputs=[TensorSpec("y", "float32", ("batch", "seq_len", hidden_size))],
            state=[StateSpec("state", "next_state", "float32", ("batch", hidden_size), 0.0)],
        )
        session = onnxruntime.InferenceSession(model)
        for length in (1, 9):
            x, state = torch.randn(3, length, 3), torch.randn(3, hidden_size)
            answer = session.run(None, {"x": x.numpy(), "state": state.numpy()})
            for expected, actual in zip(network(x, state), answer, strict=True):
                np.testing.assert_allclose(actual, expected.detach().numpy(), atol=1e-5)
