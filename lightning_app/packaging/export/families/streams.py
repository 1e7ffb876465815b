"""Base of exporters of streams: state as tensors of the graph, and a walk that carries it as a client would."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from datamodules import BaseDataModule, StreamDataModule
from datamodules.streams.lanes import Chunk
from lightning_app.packaging.export.batches import spread
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.format.manifest import StateSpec
from lightning_app.packaging.runtime.predictor import Predictor
from models.recurrent import StreamModule
from models.recurrent.state import State, fill, leaves


class StreamExporter(Exporter):
    """A model that carries a state from chunk to chunk.

    A fresh state is a number per tensor in the manifest. Where the model starts from something else (contents that it
    learned), the graph takes the difference to that, so that zeros mean a fresh state all the same.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family = "recurrent"
    layout = "stream"
    module: StreamModule
    input_name: str
    """The input that chunks come in."""

    def __init__(self, module: StreamModule, data: BaseDataModule) -> None:
        super().__init__(module, data)
        self._carried: dict[str, np.ndarray] | None = None

    @abstractmethod
    def read(self, chunk: Tensor, state: State) -> tuple[tuple[Tensor, ...], State]:
        """Outputs of the package for a chunk (B, L), and the state after it; both as the checkpoint computes them."""

    @abstractmethod
    def example_chunk(self) -> Tensor:
        """Two chunks to trace with."""

    @cached_property
    def _initial(self) -> list[Tensor]:
        """A fresh state of one lane."""
        return [tensor.detach().clone() for tensor in leaves(self.module.initial_state(1))]

    @property
    @override
    def state(self) -> tuple[StateSpec, ...]:
        specs = []
        for number, tensor in enumerate(self._initial):
            constant = float(tensor.flatten()[0]) if _is_constant(tensor) else 0.0
            specs.append(
                StateSpec(
                    input=f"state_{number}",
                    output=f"next_state_{number}",
                    dtype=str(tensor.dtype).removeprefix("torch."),
                    shape=("batch", *tensor.shape[1:]),
                    initial=constant,
                )
            )
        return tuple(specs)

    @override
    def network(self) -> nn.Module:
        return _Stream(self, [None if _is_constant(tensor) else tensor for tensor in self._initial])

    @override
    def example(self) -> tuple[Tensor, ...]:
        chunk = self.example_chunk()
        state = [
            torch.full((len(chunk), *tensor.shape[1:]), spec.initial, dtype=tensor.dtype)
            for spec, tensor in zip(self.state, self._initial, strict=True)
        ]
        return (chunk, *state)

    def fresh(self, chunk: Tensor) -> tuple[np.ndarray, ...]:
        """What the checkpoint answers to chunks (N, L) from a fresh state."""
        return tuple(output.numpy() for output in self.read(chunk, self.module.initial_state(len(chunk)))[0])

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """The test split, chunk by chunk, as the test has it."""
        self._carried = None
        self.module._evaluated = None
        yield from self.data.test_dataloader()

    def advance(self, predictor: Predictor, chunk: np.ndarray, reset: np.ndarray) -> Iterator[tuple[slice, Any]]:
        """Asks the package a chunk, cut wherever a lane starts anew; the state is carried from call to call.

        Args:
            predictor: The package.
            chunk: (B, L).
            reset: bool (B, L).

        Yields:
            Columns of the chunk; with the state that they were read from, and the package's answer to them.
        """
        cuts = [0, *(np.flatnonzero(reset[:, 1:].any(axis=0)) + 1).tolist(), chunk.shape[1]]
        for start, stop in pairwise(cuts):
            self._carried = self._where_reset(reset[:, start], self._carried)
            before = self._carried
            answer, self._carried = predictor.advance({self.input_name: chunk[:, start:stop]}, before)
            yield slice(start, stop), (before, answer)

    def _where_reset(self, reset: np.ndarray, state: dict[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        states = {}
        for spec in self.state:
            sizes = [size for size in spec.shape[1:] if isinstance(size, int)]
            fresh = np.full((len(reset), *sizes), spec.initial, dtype=spec.dtype)
            known = state is not None and len(state[spec.input]) == len(reset)
            if known:
                assert state is not None
                fresh = np.where(reset.reshape(-1, *[1] * (fresh.ndim - 1)), fresh, state[spec.input])
            states[spec.input] = fresh
        return states

    def histories(self, count: int, length: int) -> dict[str, Tensor]:
        """Stretches of the test split, each read from a fresh state.

        Args:
            count: How many at most.
            length: Steps of each.

        Returns:
            A batch of the data module (N, length).
        """
        if not isinstance(self.data, StreamDataModule):
            dataset: Any = self.data.dataset("test")
            return dict(dataset.__getitems__(spread(len(dataset), count)))
        streams = self.data.dataset("test")
        lengths = streams.documents[:, 1] - streams.documents[:, 0]
        length = min(length, int(lengths.max()))
        starts = np.concatenate([np.arange(first, end - length + 1) for first, end in streams.documents])
        rows = starts[spread(len(starts), count)][:, None] + np.arange(length)
        reset = np.zeros(rows.shape, dtype=bool)
        reset[:, 0] = True
        whole = np.ones(rows.shape, dtype=bool)
        return streams.__getitems__(Chunk(rows=rows, reset=reset, read=whole, newest=whole[0]))


class _Stream(nn.Module):
    def __init__(self, exporter: StreamExporter, offsets: list[Tensor | None]) -> None:
        super().__init__()
        self.exporter = exporter
        self.module = exporter.module
        for number, offset in enumerate(offsets):
            self.register_buffer(f"offset_{number}", offset, persistent=False)

    def forward(self, chunk: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Outputs, then the next state."""
        like = self.module.initial_state(chunk.shape[0])
        outputs, after = self.exporter.read(chunk, fill(like, self._shifted(state, 1)))
        return (*outputs, *self._shifted(leaves(after), -1))

    def _shifted(self, state: Sequence[Tensor], sign: int) -> list[Tensor]:
        # Added to all: the graph cannot return an input unchanged.
        offsets = [getattr(self, f"offset_{number}") for number in range(len(state))]
        return [part + (0 if offset is None else sign * offset) for part, offset in zip(state, offsets, strict=True)]


def _is_constant(tensor: Tensor) -> bool:
    return bool((tensor == tensor.flatten()[0]).all())
