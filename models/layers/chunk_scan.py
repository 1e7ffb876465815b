"""Chunk scan: the sequential part of a chunkwise linear recurrence, which passes the memory from chunk to chunk."""

import torch
import torch.nn.functional as F
from torch import Tensor


def chunk_scan(
    memory: Tensor, writes: Tensor, keys: Tensor, *, reads: Tensor | None, carried: Tensor | None, added: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Reads the memory at the start of each of N chunks, and writes to it.

    With S the memory, a chunk writes U = writes - reads S, and passes on carried S + keys^T U + added.

    Args:
        memory: (B, H, M * K, V), M parts.
        writes: (B, H, N, C, V).
        keys: (B, H, N, C, M * K).
        reads: (B, H, N, C, M * K); None for zeros.
        carried: Broadcasts to (B, H, N, M, M), transition between parts; None for the identity.
        added: (B, H, N, M * K, V); None for zeros.

    Returns:
        starts: (B, H, N, M * K, V), the memory at the start of each chunk.
        writes: (B, H, N, C, V), U.
        memory: (B, H, M * K, V), after the last chunk.
    """
    lanes = memory.shape[:2]
    number = keys.shape[2]

    def in_turn(tensor: Tensor | None) -> tuple[Tensor | None, ...]:
        # unbind, not indexing: the gradient of each index would be as large as the whole tensor.
        return (None,) * number if tensor is None else tensor.flatten(0, 1).unbind(dim=1)

    if carried is not None:
        carried = carried.expand(*lanes, number, *carried.shape[-2:])
    memory = memory.flatten(0, 1)
    starts, written = [], []
    for write, key, read, factor, fresh in zip(*map(in_turn, (writes, keys.mT, reads, carried, added)), strict=True):
        starts.append(memory)
        if read is not None:
            write = torch.baddbmm(write, read, memory, alpha=-1)
        written.append(write)
        if factor is not None:
            memory = (factor @ memory.view(len(memory), factor.shape[-1], -1)).view_as(memory)
        if fresh is not None:
            memory = memory + fresh
        memory = torch.baddbmm(memory, key, write)
    return (
        torch.stack(starts, dim=1).unflatten(0, lanes),
        torch.stack(written, dim=1).unflatten(0, lanes),
        memory.unflatten(0, lanes),
    )


def in_chunks(sequence: Tensor, size: int) -> Tensor:
    """(B, H, T, ...) to (B, H, N, C, ...), padded with zeros."""
    missing = -sequence.shape[2] % size
    if missing:
        sequence = F.pad(sequence, (0, 0, 0, missing) if sequence.ndim == 4 else (0, missing))
    return sequence.unflatten(2, (-1, size))
