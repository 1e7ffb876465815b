"""Lanes: arrangement of documents on parallel lanes, and the successive chunks read from them."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch.utils.data import Sampler

Arrangement = Literal["packed", "aligned"]


@dataclass(frozen=True)
class Chunk:
    """Rows of one batch: the newest chunk of each lane, and earlier steps that are recomputed.

    Attributes:
        rows: Data row of each step, int64 (B, L); 0 for padding.
        reset: True at the first step of a document or lane, bool (B, L).
        read: False for padding, bool (B, L).
        newest: True in the newest chunk, the only one that counts in the loss, bool (L,).
    """

    rows: np.ndarray
    reset: np.ndarray
    read: np.ndarray
    newest: np.ndarray


class LaneBatches(Sampler[Chunk]):
    """Successive chunks of B lanes; documents are arranged on lanes, and lanes distributed over the ranks.

    `packed` concatenates the documents and cuts them into lanes of equal length: a document may start at any step, and
    be cut at the end of a lane. `aligned` keeps each document whole in one lane and starts it at a chunk boundary; the
    rest of its last chunk is padding. Nothing is dropped.

    The arrangement is a pure function of (seed, epoch); the start position is requested when an iteration starts.

    Args:
        documents: First and end row of each document, int64 (D, 2).
        num_lanes: Lanes of all processes; this one has lanes rank, rank + world_size, ...
        chunk_size: Steps from one batch to the next, k1.
        window: Steps in a batch, k2 >= k1.
        arrangement: `packed` or `aligned`.
        seed: Shuffles the documents in each epoch; None keeps their order.
        rank: Rank of this process.
        world_size: Number of processes.
        position: Returns (epoch, number of chunks already read in it) when an iteration starts.
    """

    def __init__(
        self,
        *,
        documents: np.ndarray,
        num_lanes: int,
        chunk_size: int,
        window: int,
        arrangement: Arrangement,
        seed: int | None,
        rank: int,
        world_size: int,
        position: Callable[[], tuple[int, int]],
    ) -> None:
        self.documents = documents
        self.num_lanes = num_lanes
        self.chunk_size = chunk_size
        self.window = window
        self.arrangement = arrangement
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = position
        lengths = documents[:, 1] - documents[:, 0]
        if arrangement == "packed":
            self._lane_of = np.zeros(len(documents), dtype=np.int64)
            longest = -(-int(lengths.sum()) // num_lanes)
        else:
            self._lane_of, longest = _shared_out(-(-lengths // chunk_size) * chunk_size, num_lanes)
        self._width = -(-longest // chunk_size) * chunk_size

    def __len__(self) -> int:
        return self._width // self.chunk_size

    def __iter__(self) -> Iterator[Chunk]:
        epoch, first = self.position()
        rows, reset = self._lanes(epoch)
        behind = self.window - self.chunk_size
        rows = np.pad(rows[self.rank :: self.world_size], ((0, 0), (behind, 0)), constant_values=-1)
        reset = np.pad(reset[self.rank :: self.world_size], ((0, 0), (behind, 0)))
        reset[:, 0] = True  # the first window begins before the lanes and has no carried state
        newest = np.arange(self.window) >= behind
        for index in range(first, len(self)):
            columns = slice(index * self.chunk_size, index * self.chunk_size + self.window)
            read = rows[:, columns] >= 0
            yield Chunk(rows=rows[:, columns] * read, reset=reset[:, columns], read=read, newest=newest)

    def _lanes(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Data row of each step, -1 for padding, and starts of documents or lanes; both (lanes, width)."""
        order = np.arange(len(self.documents))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        parts = [np.arange(*self.documents[index]) for index in order]
        rows = np.full((self.num_lanes, self._width), -1, dtype=np.int64)
        if self.arrangement == "packed":
            flat = np.concatenate(parts)
            # Equal lengths, so that each lane ends where the next one starts.
            length = -(-len(flat) // self.num_lanes)
            padded = np.concatenate([flat, np.full(length * self.num_lanes - len(flat), -1)])
            rows[:, :length] = padded.reshape(self.num_lanes, length)
        else:
            filled = np.zeros(self.num_lanes, dtype=np.int64)
            for index, part in zip(order, parts, strict=True):
                lane = self._lane_of[index]
                rows[lane, filled[lane] : filled[lane] + len(part)] = part
                filled[lane] += -(-len(part) // self.chunk_size) * self.chunk_size
        reset = np.isin(rows, self.documents[:, 0])
        reset[:, 0] = True  # a lane may start within a document
        return rows, reset


def _shared_out(lengths: np.ndarray, num_lanes: int) -> tuple[np.ndarray, int]:
    """Assigns documents, longest first, each to the shortest lane; returns the lanes and the largest length."""
    lane_of = np.zeros(len(lengths), dtype=np.int64)
    lanes = [(0, lane) for lane in range(num_lanes)]
    for index in np.argsort(-lengths, kind="stable"):
        filled, lane = heapq.heappop(lanes)
        lane_of[index] = lane
        heapq.heappush(lanes, (filled + int(lengths[index]), lane))
    return lane_of, max(filled for filled, _ in lanes)
