"""The one interface of whatever reads a stream chunk by chunk."""

from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.recurrent.state import State, where_reset


class Encoder(nn.Module, ABC):
    """Reads chunks of a stream and carries a state from each to the next.

    Attributes:
        input_size: Features of an input step, D.
        output_size: Features of an output step, E.
    """

    input_size: int
    output_size: int

    @abstractmethod
    def initial_state(self, num_lanes: int) -> State:
        """The state at the start of a document, lanes first; it may be learned, but draws no random numbers."""

    @abstractmethod
    def encode(self, chunk: Tensor, state: State) -> tuple[Tensor, State]:
        """Reads the next chunk of one document per lane.

        Args:
            chunk: (B, L, D).
            state: What the chunk before it left, B lanes.

        Returns:
            output: (B, L, E); step t depends on nothing after t.
            state: After the last step.
        """

    def encode_documents(self, chunk: Tensor, state: State, reset: Tensor) -> tuple[Tensor, State]:
        """Reads a chunk in which new documents may start at any step.

        Here the chunk is cut wherever some lane starts anew; an encoder that can do better overrides this.

        Args:
            chunk: (B, L, D).
            state: What the chunk before it left, B lanes.
            reset: bool (B, L), True where a step is the first of a document.

        Returns:
            As `encode`.
        """
        initial = self.initial_state(len(chunk))
        starts = [0, *((reset[:, 1:].any(dim=0).nonzero().flatten() + 1).tolist()), chunk.shape[1]]
        outputs = []
        for start, stop in pairwise(starts):
            state = where_reset(reset[:, start], initial, state)
            output, state = self.encode(chunk[:, start:stop], state)
            outputs.append(output)
        return torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0], state
