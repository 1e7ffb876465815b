"""DeltaMemory: an encoder of stacked associative memories under the gated delta rule."""

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
from models.recurrent.state import RecurrentState, where_reset


@dataclass(frozen=True)
class LayerState:
    """State of a layer, carried from chunk to chunk.

    Attributes:
        memory: State of the heads' memories.
        inputs: (B, kernel_size - 1, features), the last inputs of the short convolution.
    """

    memory: Memory
    inputs: Tensor


class DeltaMemoryLayer(nn.Module):
    """Pre-norm residual layer of H memories under the delta rule; arguments as in `DeltaMemory`.

    Attributes:
        plasticity: Gate of the write strength, per head.
        decay: Gate of the content's decay per step; None for no decay.
        momentum: Gate of the momentum of the writes; None for no momentum.
        prime: (H, K, V), initial content of a document; None for zeros.
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
        """Initial memories, and a convolution state of zeros."""
        inputs = self.convolution.initial_state(num_lanes)
        empty = inputs.new_zeros(num_lanes, self.num_heads, self.num_slots, self.value_size)
        content = empty if self.prime is None else self.prime.expand_as(empty)
        return LayerState(Memory(content, None if self.momentum is None else empty), inputs)

    def forward(self, features: Tensor, state: LayerState, reset: Tensor | None) -> tuple[Tensor, LayerState]:
        """(B, T, D) -> (B, T, D) and the next state; `reset` bool (B, T) or None."""
        normed = self.norm(features)
        mixed, inputs = self.convolution(self.projection(normed), state.inputs, reset)
        # float32 from here: in bfloat16 a unit norm may come out at 1.004, and contents then grow with plasticity 2.
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
    """Delta-rule memory: each head stores values under keys and overwrites the value stored under the same key.

    Layers of Gated DeltaNet (Yang et al., ICLR 2025) with optional momentum (Titans, Behrouz et al., 2025) and learned
    initial contents per document. Chunks with document boundaries are processed without splitting. A final norm follows
    the last layer.

    Args:
        input_size: Features of an input and of an output step, D.
        num_layers: Stacked layers.
        num_heads: Memories per layer, H.
        num_slots: Key size, K: the number of orthogonal keys of a head.
        value_size: Value size, V.
        kernel_size: Receptive field of the convolution that queries, keys and values are computed from, in steps.
        decay: Forget, by a gate per head, initially almost not at all.
        momentum: Momentum of the writes, by a gate per head, initially almost closed.
        subtract_stored: Delta rule: write the error of the stored value; False is linear attention.
        learn_prime: Learn the initial content of the memory for new documents; False starts from zeros.
        max_plasticity: Plasticity of a fully open gate; 1 replaces the stored value, up to 2 allows negative
            eigenvalues.
        feed_forward_size: Hidden size of a SwiGLU after each memory; None for no SwiGLU.
        chunk_size: Steps computed at once; does not change the result.
        dropout: Dropout of each layer's residual branch.
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
            raise ValueError(f"encoder.max_plasticity: {max_plasticity} given, must be above 0 and at most 2")
        if not 0 <= dropout < 1:
            raise ValueError(f"encoder.dropout: {dropout} given, must be at least 0 and below 1")
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
    def initial_state(self, num_lanes: int) -> RecurrentState:
        return tuple(layer.initial_state(num_lanes) for layer in self.layers)  # type: ignore[operator]

    @override
    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        return self._read(chunk, state, None)

    @override
    def encode_documents(self, chunk: Tensor, state: RecurrentState, reset: Tensor) -> tuple[Tensor, RecurrentState]:
        if reset[:, 1:].any():
            return self._read(chunk, state, reset)
        return self._read(chunk, where_reset(reset[:, 0], self.initial_state(len(chunk)), state), None)

    def _read(self, features: Tensor, state: RecurrentState, reset: Tensor | None) -> tuple[Tensor, RecurrentState]:
        after = []
        for layer, before in zip(self.layers, state, strict=True):
            features, left = layer(features, before, reset)
            after.append(left)
        return self.norm(features), tuple(after)


def _log(openness: Tensor) -> Tensor:
    return openness.clamp_min(torch.finfo(openness.dtype).tiny).log()
