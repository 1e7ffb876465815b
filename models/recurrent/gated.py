"""LSTM and GRU as encoders."""

import warnings
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from models.layers.locked_dropout import LockedDropout
from models.recurrent.encoder import Encoder
from models.recurrent.state import RecurrentState


class _GatedEncoder(Encoder):
    """Shared base of LSTM and GRU: arguments, states with lanes first, weight dropout.

    Args:
        input_size: Features of an input step, D.
        hidden_size: Features of an output step, E.
        num_layers: Stacked layers.
        dropout: Dropout between layers.
        locked_dropout: Draw it once per lane for all steps of a segment, see `LockedDropout`; the layers then run one
            after the other.
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
        locked_dropout: bool = False,
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
        self.locked_dropout = LockedDropout(dropout) if locked_dropout and dropout and num_layers > 1 else None
        self.rnn = self._make_rnn(input_size, hidden_size, num_layers, dropout if num_layers > 1 else 0.0)

    @abstractmethod
    def _make_rnn(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.RNNBase: ...

    @abstractmethod
    def _run(
        self, chunk: Tensor, state: tuple[Tensor, ...], weights: list[Tensor], num_layers: int, dropout: float
    ) -> tuple[Tensor, ...]: ...

    @override
    def initial_state(self, num_lanes: int) -> RecurrentState:
        weight = next(self.rnn.parameters())
        zeros = weight.new_zeros(num_lanes, self.num_layers, self.output_size)
        return tuple(zeros for _ in range(self.num_states))

    @override
    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        layers_first = tuple(tensor.transpose(0, 1).contiguous() for tensor in state)  # (layers, B, E)
        if self.locked_dropout is not None and self.training:
            output, *after = self._run_locked(chunk, layers_first, self._weights(), self.locked_dropout)
        else:
            output, *after = self._run(chunk, layers_first, self._weights(), self.num_layers, self.rnn.dropout)
        if torch.compiler.is_exporting():  # tracing makes the length of the RNN output a constant; indexing keeps it
            output = output.index_select(1, torch.arange(chunk.shape[1], device=chunk.device))
        return output, tuple(tensor.transpose(0, 1) for tensor in after)

    def _run_locked(
        self, chunk: Tensor, state: tuple[Tensor, ...], weights: list[Tensor], dropout: LockedDropout
    ) -> tuple[Tensor, ...]:
        """Runs layer by layer with one dropout mask per layer; takes and returns what `_run` does."""
        per_layer, after = len(weights) // self.num_layers, []
        for layer in range(self.num_layers):
            chunk = dropout(chunk) if layer else chunk
            own = weights[layer * per_layer : (layer + 1) * per_layer]
            chunk, *states = self._run(chunk, tuple(tensor[layer : layer + 1] for tensor in state), own, 1, 0.0)
            after.append(states)
        return (chunk, *(torch.cat(tensors) for tensors in zip(*after, strict=True)))

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
    def _run(
        self, chunk: Tensor, state: tuple[Tensor, ...], weights: list[Tensor], num_layers: int, dropout: float
    ) -> tuple[Tensor, ...]:
        if _is_missing_half_lstm(chunk.device):
            warnings.warn("this CPU has no LSTM in half precision: LSTMEncoder computes in float32", stacklevel=2)
            with torch.autocast("cpu", enabled=False):
                return self._run(chunk.to(weights[0].dtype), state, weights, num_layers, dropout)
        return torch.lstm(chunk, state, weights, True, num_layers, dropout, self.training, False, True)


class GRUEncoder(_GatedEncoder):
    """Gated recurrent unit (Cho et al., 2014); the state is (hidden,), (B, layers, E)."""

    num_states = 1

    @override
    def _make_rnn(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.RNNBase:
        return nn.GRU(input_size, hidden_size, num_layers, batch_first=True, dropout=dropout)

    @override
    def _run(
        self, chunk: Tensor, state: tuple[Tensor, ...], weights: list[Tensor], num_layers: int, dropout: float
    ) -> tuple[Tensor, ...]:
        return torch.gru(chunk, state[0], weights, True, num_layers, dropout, self.training, False, True)


def _is_missing_half_lstm(device: torch.device) -> bool:
    """Whether autocast would ask oneDNN for an LSTM in half precision that it does not have on this CPU."""
    if device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not torch.backends.mkldnn.is_available():
        return False
    has_dtype = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    dtype = torch.get_autocast_dtype("cpu")
    return dtype in has_dtype and not has_dtype[dtype]()
