"""StreamModule: truncated backpropagation through time (TBPTT); one chunk is one batch and one optimizer step."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.layers.locked_dropout import LockedDropout
from models.output_shape import check_output
from models.recurrent.encoder import Encoder
from models.recurrent.state import RecurrentState, detach, fill, leaves, map_state

_CARRIED = "carried_state"


class StreamModule(BaseModule):
    """A LightningModule whose batches are successive chunks of B streams.

    After each step the state is detached and carried to the next: no gradient crosses a chunk. Training and evaluation
    keep separate states, so a validation in the middle of an epoch leaves training untouched. The first chunk of an
    epoch resets every lane. Checkpoints contain the training state of all lanes of all processes.

    Subclasses define the initial state and the step.
    """

    _carried: RecurrentState = None
    _evaluated: RecurrentState = None
    _restored: list[Tensor] | None = None

    @abstractmethod
    def initial_state(self, num_lanes: int) -> RecurrentState:
        """State before the first chunk, lanes in the first dimension."""

    @abstractmethod
    def stream_step(self, batch: Batch, state: RecurrentState) -> tuple[StepOutput, RecurrentState]:
        """Computes the loss of one chunk and the state to carry to the next.

        Args:
            batch: `reset` bool (B, L) is True at the first step of each document; other entries depend on the subclass.
            state: State after the previous chunk, B lanes, detached.
        """

    def may_start(self, batch: Batch) -> Tensor:
        """Lanes that need no carried state, bool (B,); by default those that start a document."""
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

    def state_for(self, batch: Batch) -> RecurrentState:
        """The state carried to a batch, or the initial one if all its lanes may start afresh."""
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
        """Adds the training state of all lanes; called on every process, as gathering needs all of them."""
        if self.trainer.state.fn != "fit":
            return
        if self._restored is not None:  # loaded from a checkpoint, no step taken yet
            checkpoint[_CARRIED] = self._restored
        if self._carried is None:
            return
        state = self._carried
        if self.trainer.world_size > 1:
            # (W, B, ...) to lanes in data order: process r owns lanes r, r + W, ...
            gathered = self.all_gather(leaves(state))
            state = fill(state, [tensor.transpose(0, 1).flatten(0, 1) for tensor in gathered])
        checkpoint[_CARRIED] = [tensor.cpu().clone() for tensor in leaves(state)]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the state of all lanes until the first step, where the local lanes are known."""
        self._carried, self._restored = None, checkpoint.get(_CARRIED)

    def _share_of(self, tensors: list[Tensor]) -> RecurrentState:
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        local = [tensor[rank::world_size] for tensor in tensors]
        like = map_state(lambda tensor: tensor.detach(), self.initial_state(len(local[0])))
        return fill(like, local)


class EncoderModule(StreamModule):
    """A `StreamModule` around one encoder; subclasses define the encoder's input and the use of its output.

    Args:
        encoder: Carries the state.
        chunk_size: New steps per batch, k1.
        input_dropout: Dropout of the encoder's input.
        dropout: Dropout of the encoder's output.
        locked_dropout: Draw both once per lane for all steps of a chunk, see `LockedDropout`.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    injected_arguments = (*StreamModule.injected_arguments, "encoder")

    def __init__(
        self,
        *,
        encoder: Encoder,
        chunk_size: int,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        locked_dropout: bool = False,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        if chunk_size < 1:
            raise ValueError(f"model.chunk_size: {chunk_size} given, at least 1 is needed")
        self.encoder = encoder
        self.chunk_size = chunk_size
        kind = LockedDropout if locked_dropout else nn.Dropout
        self.input_dropout = kind(input_dropout)
        self.dropout = kind(dropout)

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """The encoder's input, (B, L, D)."""

    @override
    def initial_state(self, num_lanes: int) -> RecurrentState:
        return self.encoder.initial_state(num_lanes)

    def hidden(self, batch: Batch, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Encodes a chunk: output (B, L, E), and the state to carry."""
        embedded = self.input_dropout(self.embed(batch))
        output, state = unroll(self.encoder, embedded, state, batch["reset"], self.chunk_size)
        return self.dropout(output), state


def unroll(
    encoder: Encoder, chunk: Tensor, state: RecurrentState, reset: Tensor, stride: int
) -> tuple[Tensor, RecurrentState]:
    """Encodes a window that overlaps the previous one (k2 > k1).

    With windows of k2 steps every k1 steps, the state that is carried is that of k2 - k1 steps before the window's end:
    the next window starts there and recomputes the overlap with the current weights.

    Args:
        encoder: The encoder.
        chunk: (B, L, D), L = k2.
        state: State carried from the previous window.
        reset: bool (B, L).
        stride: k1, steps between windows; with L <= k1 the state after the last step is carried.

    Returns:
        output: (B, L, E).
        state: Start state of the next window.
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
