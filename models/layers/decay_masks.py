"""Decay masks of the chunkwise delta rule: coefficient of each write of a chunk in the memory at each step."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DecayMasks:
    """Decay-aware causal masks of a chunk (Yang et al., Gated Delta Networks, ICLR 2025), extended by momentum.

    The memory has M parts: its content, and its momentum if there is one. Each mask holds the coefficients with which
    the C writes of the chunk, or the memory at its start, enter the memory at step i. Leading dimensions broadcast to
    (B, H, N), N chunks; None stands for ones.

    Attributes:
        before: (..., C, C), coefficient of write j in the memory that step i reads with its key, before its own write;
            strictly lower triangular, other entries are ignored.
        after: (..., C, C), coefficient of write j in the content after step i.
        start_before: Per part, (..., C), coefficient of that part at the chunk's start in the memory before write i.
        start_after: Per part, (..., C), coefficient of that part at the chunk's start in the content after step i.
        last: Per part, (..., C), coefficient of write j in that part at the chunk's end.
        carried: (..., M, M), transition of the parts from the chunk's start to its end; None for the identity.
        primed: (..., C), coefficient of the initial content of a new document before and after step i; 0 for steps of
            the document that began in an earlier chunk.
    """

    before: Tensor
    after: Tensor
    start_before: tuple[Tensor | None, ...]
    start_after: tuple[Tensor | None, ...]
    last: tuple[Tensor | None, ...]
    carried: Tensor | None
    primed: Tensor | None


def decay_masks(
    log_decay: Tensor | None, log_momentum: Tensor | None, reset: Tensor | None, *, length: int, like: Tensor
) -> DecayMasks:
    """Computes the masks of all chunks at once.

    A write decays in the content at every later step, and momentum adds a decayed copy of it at each of them. With A
    and E the lower triangular products of decay and of momentum over the steps j + 1 .. i, the coefficient of write j
    after step i is (A E)_ij; before write i it is (A E - E)_ij.

    Args:
        log_decay: (B, H, N, C); None for no decay.
        log_momentum: (B, H, N, C); None for no momentum.
        reset: bool (B, 1, N, C), True at the first step of a document.
        length: Number of steps without padding, over all chunks.
        like: (..., C, D), sets C, the dtype and the device.
    """
    size = like.shape[-2]
    seen = torch.ones(size, size, dtype=torch.bool, device=like.device).tril()
    first = start = None
    if reset is not None:
        document = reset.cumsum(dim=-1)  # 0 is the document that began in an earlier chunk
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
        return DecayMasks(held, held, (content,), (content,), (last,), carried, primed)

    running, since = _products(log_momentum, unseen, start)
    since = since if first is None else since * first
    sources = torch.cat([running, since[..., None]], dim=-1)
    # A padded step neither decays nor writes, but momentum would be added to the content once more there.
    real = torch.arange(log_momentum.shape[2] * size, device=like.device).view(-1, size) < length
    entering = sources * real[..., None]
    before = held.tril(-1) @ entering  # A E - E without the cancellation
    after = before + entering
    into_content = after[..., -1, -1]
    from_content = torch.ones_like(into_content) if content is None else content[..., -1].expand_as(into_content)
    ends = [from_content, into_content, torch.zeros_like(into_content), since[..., -1]]
    return DecayMasks(
        before=before[..., :-1],
        after=after[..., :-1],
        start_before=(content, before[..., -1]),
        start_after=(content, after[..., -1]),
        last=(after[..., -1, :-1], running[..., -1, :]),
        carried=torch.stack(ends, dim=-1).unflatten(-1, (2, 2)),
        primed=primed,
    )


def _products(log_factor: Tensor, unseen: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
    """Products of factors over the steps j + 1 .. i (0 where j is masked), and from the document's start to i."""
    total = log_factor.cumsum(dim=-1)
    between = (total[..., :, None] - total[..., None, :] + unseen).exp()
    if start is not None:
        total = total - (total - log_factor).gather(-1, start.expand_as(total))
    return between, total.exp()
