"""How much of each write a decaying memory with momentum holds, step by step within a chunk."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class WriteShares:
    """What the steps of a chunk hold of its C writes, and of the memory that it starts with.

    The memory has M parts: its content, and its momentum if there is one. Leading dimensions broadcast to (B, H, N),
    N chunks; None stands for ones.

    Attributes:
        before: (..., C, C), of write j in what step i predicts from; only what is below the diagonal counts.
        after: (..., C, C), of write j in the content after step i.
        start_before: Per part, (..., C), of that part at the start in what step i predicts from.
        start_after: Per part, (..., C), of that part at the start in the content after step i.
        last: Per part, (..., C), of write j in that part at the end.
        carried: (..., M, M), of the parts at the start in the parts at the end; None for the identity.
        primed: (..., C), of the prime in the content, before and after step i alike; 0 in the document carried in.
    """

    before: Tensor
    after: Tensor
    start_before: tuple[Tensor | None, ...]
    start_after: tuple[Tensor | None, ...]
    last: tuple[Tensor | None, ...]
    carried: Tensor | None
    primed: Tensor | None


def write_shares(
    log_decay: Tensor | None, log_momentum: Tensor | None, reset: Tensor | None, *, length: int, like: Tensor
) -> WriteShares:
    """Shares of all chunks at once.

    A write stays in the content by the decay of every step after it, and enters it again at every such step by what
    is left of it in the momentum. With A and E the products of decay and of momentum over the steps j + 1 .. i, its
    share after step i is (A E)_ij; in what step i predicts from, it is E_ij less.

    Args:
        log_decay: (B, H, N, C).
        log_momentum: (B, H, N, C).
        reset: bool (B, 1, N, C), True where a step is the first of a document.
        length: Steps that are not padding, over all chunks.
        like: Any (..., C, D) of the dtype and device to compute in.
    """
    size = like.shape[-2]
    seen = torch.ones(size, size, dtype=torch.bool, device=like.device).tril()
    first = start = None
    if reset is not None:
        document = reset.cumsum(dim=-1)  # 0 is the one carried in
        seen = seen & (document[..., :, None] == document[..., None, :])
        first = (document == 0).to(like.dtype)
        start = torch.where(reset, torch.arange(size, device=like.device), 0).cummax(dim=-1).values
    # Added before exp: above the diagonal exponents are positive, and inf * 0 is NaN, in gradients as well.
    unseen = torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill(~seen, -torch.inf)

    held, kept = (unseen.exp(), None) if log_decay is None else _products(log_decay, unseen, start)
    content = kept if first is None else first if kept is None else kept * first
    primed = None if first is None else 1 - first if kept is None else kept * (1 - first)
    if log_momentum is None:
        last = None if content is None else held[..., -1, :]
        carried = None if content is None else content[..., -1, None, None]
        return WriteShares(held, held, (content,), (content,), (last,), carried, primed)

    running, since = _products(log_momentum, unseen, start)
    since = since if first is None else since * first
    sources = torch.cat([running, since[..., None]], dim=-1)
    # A padded step neither decays nor writes, but the momentum would enter the content there once more.
    real = torch.arange(log_momentum.shape[2] * size, device=like.device).view(-1, size) < length
    entering = sources * real[..., None]
    before = held.tril(-1) @ entering  # A E - E without the cancellation
    after = before + entering
    into_content = after[..., -1, -1]
    from_content = torch.ones_like(into_content) if content is None else content[..., -1].expand_as(into_content)
    ends = [from_content, into_content, torch.zeros_like(into_content), since[..., -1]]
    return WriteShares(
        before=before[..., :-1],
        after=after[..., :-1],
        start_before=(content, before[..., -1]),
        start_after=(content, after[..., -1]),
        last=(after[..., -1, :-1], running[..., -1, :]),
        carried=torch.stack(ends, dim=-1).unflatten(-1, (2, 2)),
        primed=primed,
    )


def _products(log_factor: Tensor, unseen: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
    """Products of factors over the steps j + 1 .. i, 0 where j is unseen, and from the start of each document to i."""
    total = log_factor.cumsum(dim=-1)
    between = (total[..., :, None] - total[..., None, :] + unseen).exp()
    if start is not None:
        total = total - (total - log_factor).gather(-1, start.expand_as(total))
    return between, total.exp()
