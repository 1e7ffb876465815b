"""Truncated backpropagation through time: one chunk, one batch, one optimizer step, with a state carried between."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.output_shape import check_output
from models.recurrent.encoder import Encoder
from models.recurrent.state import State, detach, fill, leaves, map_state

_CARRIED = "carried_state"


class StreamModule(BaseModule):
    """A LightningModule whose batches are successive chunks of B streams.

    After each step the state is detached and kept for the next one: no gradient crosses a chunk. Training and
    evaluation keep a state each, so that a validation in the middle of an epoch leaves training untouched. The
    first chunk of an epoch resets every lane. Checkpoints hold the training state of all lanes of all processes.

    A subclass says what a fresh state is and what one step does with it.
    """

    _carried: State = None
    _evaluated: State = None
    _restored: list[Tensor] | None = None

    @abstractmethod
    def initial_state(self, num_lanes: int) -> State:
        """The state before the first chunk, lanes first."""

    @abstractmethod
    def stream_step(self, batch: Batch, state: State) -> tuple[StepOutput, State]:
        """One chunk: its loss, and the state it leaves for the next.

        Args:
            batch: `reset` bool (B, L) marks the first step of each document; the rest is the subclass's.
            state: As the chunk before left it, B lanes, detached.
        """

    def may_start(self, batch: Batch) -> Tensor:
        """Lanes that can do without a carried state, bool (B,): here those that start a document."""
        return batch["reset"][:, 0]

    @override
    def step(self, batch: Batch) -> StepOutput:
        before = self.state_for(batch)
        output, after = self.stream_step(batch, before)
        if self.training:
            self._carried = detach(after, like=before)
        else:
            self._evaluated = detach(after, like=before)
        return output

    def state_for(self, batch: Batch) -> State:
        """The state carried to a batch, or a fresh one where all its lanes start anew."""
        if self.training and self._restored is not None:
            self._carried = self._share_of(self._restored)
            self._restored = None
        carried = self._carried if self.training else self._evaluated
        may_start = self.may_start(batch)
        num_lanes = len(may_start)
        if carried is not None:
            first = leaves(carried)[0]
            if len(first) == num_lanes and first.device == may_start.device:
                return carried
        if not may_start.all():
            carried_lanes = 0 if carried is None else len(leaves(carried)[0])
            raise ValueError(
                f"a chunk continues {num_lanes} streams, and a state of {carried_lanes} was carried to it: a fit is "
                "resumed within an epoch with the same number of lanes, data.batch_size times processes"
            )
        return self.initial_state(num_lanes)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the training state of all lanes; every process comes through here."""
        if self.trainer.state.fn != "fit":
            return
        if self._restored is not None:  # loaded, and no step taken since
            checkpoint[_CARRIED] = self._restored
        if self._carried is None:
            return
        state = self._carried
        if self.trainer.world_size > 1:
            # (W, B, ...) to lanes in their order in the data: process r owns lanes r, r + W, ...
            gathered = self.all_gather(leaves(state))
            state = fill(state, [tensor.transpose(0, 1).flatten(0, 1) for tensor in gathered])
        checkpoint[_CARRIED] = [tensor.cpu().clone() for tensor in leaves(state)]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the state of all lanes until the first step, which knows its share of them."""
        self._carried, self._restored = None, checkpoint.get(_CARRIED)

    def _share_of(self, tensors: list[Tensor]) -> State:
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        mine = [tensor[rank::world_size] for tensor in tensors]
        like = map_state(lambda tensor: tensor.detach(), self.initial_state(len(mine[0])))
        return fill(like, mine)


class EncoderModule(StreamModule):
    """A `StreamModule` around one encoder; a subclass says what the encoder reads and what becomes of its output.

    Args:
        encoder: Carries the state.
        chunk_size: New steps per batch, k1.
        input_dropout: On what the encoder reads.
        dropout: On the encoder's output.
        optimizer: Makes the optimizer.
        scheduler: Makes the learning-rate scheduler, see `BaseModule`.
    """

    injected_arguments = (*StreamModule.injected_arguments, "encoder")

    def __init__(
        self,
        *,
        encoder: Encoder,
        chunk_size: int,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        if chunk_size < 1:
            raise ValueError(f"model.chunk_size: {chunk_size} given, at least 1 is needed")
        self.encoder = encoder
        self.chunk_size = chunk_size
        self.input_dropout = nn.Dropout(input_dropout)
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """What the encoder reads, (B, L, D)."""

    @override
    def initial_state(self, num_lanes: int) -> State:
        return self.encoder.initial_state(num_lanes)

    def hidden(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """What the encoder makes of a chunk, (B, L, E), and the state to carry."""
        embedded = self.input_dropout(self.embed(batch))
        output, state = unroll(self.encoder, embedded, state, batch["reset"], self.chunk_size)
        return self.dropout(output), state


def unroll(encoder: Encoder, chunk: Tensor, state: State, reset: Tensor, stride: int) -> tuple[Tensor, State]:
    """Encodes a window that may reach back behind its newest chunk (k2 > k1).

    With windows of k2 steps every k1 steps, the state kept is that of k2 - k1 steps before the end of the window:
    the next window starts there, and recomputes the steps in between with the weights of its own time.

    Args:
        encoder: The encoder.
        chunk: (B, L, D), L = k2.
        state: As the window before left it.
        reset: bool (B, L).
        stride: k1, steps between windows; with L <= k1 the state after the last step is kept.

    Returns:
        output: (B, L, E).
        state: Where the next window starts.
    """
    output, kept = encoder.encode_documents(chunk[:, :stride], state, reset[:, :stride])
    check_output(
        output,
        (len(chunk), min(stride, chunk.shape[1]), encoder.output_size),
        part=encoder,
        key="model.encoder",
        meaning="(lanes, steps, output_size)",
    )
    if chunk.shape[1] <= stride:
        return output, kept
    newest, _ = encoder.encode_documents(chunk[:, stride:], kept, reset[:, stride:])
    return torch.cat([output, newest], dim=1), kept
