"""A stack of associative memories that learn what to write, what to correct and what to forget."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from models.layers.delta_rule import Memory, chunkwise_delta_rule
from models.layers.gate import Gate
from models.layers.short_convolution import ShortConvolution
from models.layers.swiglu import SwiGLU
from models.recurrent.encoder import Encoder
from models.recurrent.state import State, where_reset


@dataclass(frozen=True)
class LayerState:
    """What a layer carries from chunk to chunk.

    Attributes:
        memory: Contents of the heads.
        inputs: (B, kernel_size - 1, features), what the short convolution still sees.
    """

    memory: Memory
    inputs: Tensor


class DeltaMemoryLayer(nn.Module):
    """Pre-norm residual layer around H memories under the delta rule; arguments as of `DeltaMemory`.

    Attributes:
        plasticity: Gate of the writes, per head.
        decay: Gate of what the content keeps at each step; None keeps everything.
        momentum: Gate of what a write keeps of the write before; None writes without momentum.
        prime: (H, K, V), the content at the start of a document; None starts empty.
    """

    def __init__(
        self,
        *,
        input_size: int,
        num_heads: int,
        num_slots: int,
        value_size: int,
        kernel_size: int,
        decay: bool,
        momentum: bool,
        subtract_stored: bool,
        learn_prime: bool,
        max_plasticity: float,
        feed_forward_size: int | None,
        chunk_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_slots, self.value_size = num_heads, num_slots, value_size
        self.sizes = [num_heads * num_slots, num_heads * num_slots, num_heads * value_size]
        self.max_plasticity = max_plasticity
        self.subtract_stored = subtract_stored
        self.chunk_size = chunk_size
        self.norm = nn.RMSNorm(input_size)
        self.projection = nn.Linear(input_size, sum(self.sizes), bias=False)
        self.convolution = ShortConvolution(num_features=sum(self.sizes), kernel_size=kernel_size)
        self.plasticity = Gate(input_size=input_size, num_gates=num_heads)
        self.decay = Gate(input_size=input_size, num_gates=num_heads, openness=0.99) if decay else None
        self.momentum = Gate(input_size=input_size, num_gates=num_heads, openness=0.1) if momentum else None
        self.prime = nn.Parameter(torch.zeros(num_heads, num_slots, value_size)) if learn_prime else None
        self.output_norm = nn.RMSNorm(value_size)
        self.output = nn.Linear(num_heads * value_size, input_size, bias=False)
        self.feed_forward = None
        if feed_forward_size is not None:
            self.feed_forward = nn.Sequential(
                nn.RMSNorm(input_size), SwiGLU(input_size=input_size, hidden_size=feed_forward_size)
            )
        self.dropout = nn.Dropout(dropout)

    def initial_state(self, num_lanes: int) -> LayerState:
        """The primed memories, and a convolution that has seen nothing."""
        inputs = self.convolution.initial_state(num_lanes)
        empty = inputs.new_zeros(num_lanes, self.num_heads, self.num_slots, self.value_size)
        content = empty if self.prime is None else self.prime.expand_as(empty)
        return LayerState(Memory(content, None if self.momentum is None else empty), inputs)

    def forward(self, features: Tensor, state: LayerState, reset: Tensor | None) -> tuple[Tensor, LayerState]:
        """(B, T, D) -> (B, T, D) and the state after; `reset` bool (B, T) or None."""
        normed = self.norm(features)
        mixed, inputs = self.convolution(self.projection(normed), state.inputs, reset)
        # From here in float32: in bfloat16 a unit norm may come out at 1.004, and contents grow with plasticity 2.
        mixed = F.silu(mixed if mixed.dtype == torch.float64 else mixed.float())
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in mixed.split(self.sizes, dim=-1)
        )
        read, memory = chunkwise_delta_rule(
            F.normalize(query, dim=-1),
            F.normalize(key, dim=-1),
            value,
            self.plasticity(normed).mT * self.max_plasticity,
            log_decay=None if self.decay is None else _log(self.decay(normed)).mT,
            log_momentum=None if self.momentum is None else _log(self.momentum(normed)).mT,
            memory=state.memory,
            prime=self.prime,
            reset=reset,
            subtract_stored=self.subtract_stored,
            scale=1.0,
            chunk_size=self.chunk_size,
        )
        features = features + self.dropout(self.output(self.output_norm(read).transpose(1, 2).flatten(2)))
        if self.feed_forward is not None:
            features = features + self.dropout(self.feed_forward(features))
        return features, LayerState(memory, inputs)


class DeltaMemory(Encoder):
    """Delta-rule memory: each head stores values under keys and overwrites what it had stored under the same key.

    A write is as strong as its plasticity gate is open. Layers of Gated DeltaNet (Yang et al., ICLR 2025) with, on
    request, the momentum of Titans (Behrouz et al., 2025), and with learned contents at the start of a document. A
    chunk in which documents start is not cut there. A final norm closes the stack.

    Args:
        input_size: Features of an input and of an output step, D.
        num_layers: Layers on top of each other.
        num_heads: Memories per layer, H.
        num_slots: Size of a key, K: how many orthogonal keys a head can tell apart.
        value_size: Size of a value, V.
        kernel_size: Steps that queries, keys and values are computed from.
        decay: Forget, by a gate per head that starts almost without.
        momentum: Carry writes on, by a gate per head that starts almost closed.
        subtract_stored: Correct what is stored; False adds to it (linear attention).
        learn_prime: Learn what a new document finds in the memory; False starts empty.
        max_plasticity: A fully open gate's; 1 replaces what was stored, up to 2 allows for negative eigenvalues.
        feed_forward_size: Hidden size of a SwiGLU after each memory; None has none.
        chunk_size: Steps computed at once; the result does not depend on it.
        dropout: Of what each layer adds.
    """

    def __init__(
        self,
        *,
        input_size: int,
        num_layers: int = 2,
        num_heads: int = 2,
        num_slots: int = 32,
        value_size: int = 32,
        kernel_size: int = 4,
        decay: bool = True,
        momentum: bool = False,
        subtract_stored: bool = True,
        learn_prime: bool = True,
        max_plasticity: float = 1.0,
        feed_forward_size: int | None = None,
        chunk_size: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        counts = {
            "input_size": input_size,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "num_slots": num_slots,
            "value_size": value_size,
            "kernel_size": kernel_size,
            "feed_forward_size": feed_forward_size,
            "chunk_size": chunk_size,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                raise ValueError(f"encoder.{name}: {count} given, at least 1 is needed")
        if not 0 < max_plasticity <= 2:
            raise ValueError(f"encoder.max_plasticity: {max_plasticity} given, allowed is above 0 and up to 2")
        if not 0 <= dropout < 1:
            raise ValueError(f"encoder.dropout: {dropout} given, allowed is from 0 to below 1")
        self.input_size = self.output_size = input_size
        self.layers = nn.ModuleList(
            DeltaMemoryLayer(
                input_size=input_size,
                num_heads=num_heads,
                num_slots=num_slots,
                value_size=value_size,
                kernel_size=kernel_size,
                decay=decay,
                momentum=momentum,
                subtract_stored=subtract_stored,
                learn_prime=learn_prime,
                max_plasticity=max_plasticity,
                feed_forward_size=feed_forward_size,
                chunk_size=chunk_size,
                dropout=dropout,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.RMSNorm(input_size)

    @override
    def initial_state(self, num_lanes: int) -> State:
        return tuple(layer.initial_state(num_lanes) for layer in self.layers)  # type: ignore[operator]

    @override
    def encode(self, chunk: Tensor, state: State) -> tuple[Tensor, State]:
        return self._read(chunk, state, None)

    @override
    def encode_documents(self, chunk: Tensor, state: State, reset: Tensor) -> tuple[Tensor, State]:
        if reset[:, 1:].any():
            return self._read(chunk, state, reset)
        return self._read(chunk, where_reset(reset[:, 0], self.initial_state(len(chunk)), state), None)

    def _read(self, features: Tensor, state: State, reset: Tensor | None) -> tuple[Tensor, State]:
        after = []
        for layer, before in zip(self.layers, state, strict=True):
            features, left = layer(features, before, reset)
            after.append(left)
        return self.norm(features), tuple(after)


def _log(openness: Tensor) -> Tensor:
    return openness.clamp_min(torch.finfo(openness.dtype).tiny).log()
