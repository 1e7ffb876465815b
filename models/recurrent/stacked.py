"""StackedEncoder: several encoders in sequence."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from typing_extensions import override

from models.recurrent.encoder import Encoder
from models.recurrent.state import RecurrentState


class StackedEncoder(Encoder):
    """Feeds each encoder's output to the next; each carries a separate state.

    Args:
        encoders: At least one; each output size equals the next input size.
    """

    def __init__(self, *, encoders: Sequence[Encoder]) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("encoder.encoders: none given, at least one is needed")
        for lower, upper in pairwise(encoders):
            if lower.output_size != upper.input_size:
                raise ValueError(
                    f"encoder.encoders: {type(lower).__name__} gives {lower.output_size} features, and "
                    f"{type(upper).__name__} behind it reads {upper.input_size}; make its input_size the same"
                )
        self.encoders = nn.ModuleList(encoders)
        self.input_size = encoders[0].input_size
        self.output_size = encoders[-1].output_size

    @override
    def initial_state(self, num_lanes: int) -> RecurrentState:
        return tuple(encoder.initial_state(num_lanes) for encoder in self._all())

    @override
    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        after = []
        for encoder, part in zip(self._all(), state, strict=True):
            chunk, part_after = encoder.encode(chunk, part)
            after.append(part_after)
        return chunk, tuple(after)

    @override
    def encode_documents(self, chunk: Tensor, state: RecurrentState, reset: Tensor) -> tuple[Tensor, RecurrentState]:
        after = []
        for encoder, part in zip(self._all(), state, strict=True):
            chunk, part_after = encoder.encode_documents(chunk, part, reset)
            after.append(part_after)
        return chunk, tuple(after)

    def _all(self) -> list[Encoder]:
        return list(self.encoders)  # type: ignore[arg-type]
