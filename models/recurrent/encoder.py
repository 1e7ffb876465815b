"""Encoder, the interface of networks that read a stream chunk by chunk."""

from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.recurrent.state import RecurrentState, where_reset


class Encoder(nn.Module, ABC):
    """Encodes chunks of a stream and carries a state from each to the next.

    Attributes:
        input_size: Features of an input step, D.
        output_size: Features of an output step, E.
    """

    input_size: int
    output_size: int

    @abstractmethod
    def initial_state(self, num_lanes: int) -> RecurrentState:
        """State at the start of a document, lanes first; may be learned, must not draw random numbers."""

    @abstractmethod
    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Encodes the next chunk of one document per lane.

        Args:
            chunk: (B, L, D).
            state: State after the previous chunk, B lanes.

        Returns:
            output: (B, L, E); step t depends on no later step.
            state: State after the last step.
        """

    def encode_documents(self, chunk: Tensor, state: RecurrentState, reset: Tensor) -> tuple[Tensor, RecurrentState]:
        """Encodes a chunk in which documents may start at any step.

        The default splits the chunk wherever some lane resets; encoders override this if they can do better.

        Args:
            chunk: (B, L, D).
            state: State after the previous chunk, B lanes.
            reset: bool (B, L), True at the first step of a document.

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
