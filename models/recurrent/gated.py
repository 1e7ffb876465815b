"""LSTM and GRU as encoders."""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from models.recurrent.encoder import Encoder
from models.recurrent.state import RecurrentState


class _GatedEncoder(Encoder):
    """Shared base of LSTM and GRU: arguments, states with lanes first, weight dropout.

    Args:
        input_size: Features of an input step, D.
        hidden_size: Features of an output step, E.
        num_layers: Stacked layers.
        dropout: Dropout between layers.
        weight_drop: DropConnect on the hidden-to-hidden weights (Merity et al., 2018), resampled for each segment of a
            chunk that is encoded at once.
    """

    num_states: int

    def __init__(
        self,
        *,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("hidden_size", hidden_size), ("num_layers", num_layers)):
            if value < 1:
                raise ValueError(f"encoder.{name}: {value} given, at least 1 is needed")
        self.input_size = input_size
        self.output_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.weight_drop = weight_drop
        self.rnn = self._make_rnn(input_size, hidden_size, num_layers, dropout if num_layers > 1 else 0.0)

    @abstractmethod
    def _make_rnn(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.RNNBase: ...

    @abstractmethod
    def _run(self, chunk: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]: ...

    @override
    def initial_state(self, num_lanes: int) -> RecurrentState:
        weight = next(self.rnn.parameters())
        zeros = weight.new_zeros(num_lanes, self.num_layers, self.output_size)
        return tuple(zeros for _ in range(self.num_states))

    @override
    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        layers_first = tuple(tensor.transpose(0, 1).contiguous() for tensor in state)  # (layers, B, E)
        output, *after = self._run(chunk, layers_first, self._weights())
        if torch.compiler.is_exporting():  # tracing makes the length of the RNN output a constant; indexing keeps it
            output = output.index_select(1, torch.arange(chunk.shape[1], device=chunk.device))
        return output, tuple(tensor.transpose(0, 1) for tensor in after)

    def _weights(self) -> list[Tensor]:
        weights = [weight for weight in self.rnn._flat_weights if weight is not None]
        if not (self.training and self.weight_drop):
            return weights
        return [
            F.dropout(weight, self.weight_drop) if name.startswith("weight_hh") else weight
            for name, weight in zip(self.rnn._flat_weights_names, weights, strict=True)
        ]


class LSTMEncoder(_GatedEncoder):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997); the state is (hidden, cell), each (B, layers, E)."""

    num_states = 2

    @override
    def _make_rnn(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.RNNBase:
        return nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, dropout=dropout)

    @override
    def _run(self, chunk: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.lstm(chunk, state, weights, True, self.num_layers, self.rnn.dropout, self.training, False, True)


class GRUEncoder(_GatedEncoder):
    """Gated recurrent unit (Cho et al., 2014); the state is (hidden,), (B, layers, E)."""

    num_states = 1

    @override
    def _make_rnn(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.RNNBase:
        return nn.GRU(input_size, hidden_size, num_layers, batch_first=True, dropout=dropout)

    @override
    def _run(self, chunk: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.gru(chunk, state[0], weights, True, self.num_layers, self.rnn.dropout, self.training, False, True)
