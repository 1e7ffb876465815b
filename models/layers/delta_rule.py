"""Gated delta rule with momentum: an associative memory updated by the error of its own prediction, step by step."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops import scan

from models.layers.chunk_scan import chunk_scan, in_chunks
from models.layers.decay_masks import decay_masks


@dataclass(frozen=True)
class Memory:
    """State of the associative memory, per head.

    Attributes:
        content: (B, H, K, V); reading with a key (K,) returns the value (V,) `content.T @ key`.
        momentum: (B, H, K, V), the running write; None without momentum.
    """

    content: Tensor
    momentum: Tensor | None = None


def recurrent_delta_rule(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plasticity: Tensor,
    *,
    log_decay: Tensor | None = None,
    log_momentum: Tensor | None = None,
    memory: Memory | None = None,
    prime: Tensor | None = None,
    reset: Tensor | None = None,
    subtract_stored: bool = True,
    scale: float | None = None,
) -> tuple[Tensor, Memory]:
    """Sequential reference implementation of `chunkwise_delta_rule`, one step at a time.

    With plasticity b, decay a and momentum e, step t writes the part of its value that its key does not retrieve yet:

        u_t = e_t u_{t-1} + b_t k_t (v_t - a_t S_{t-1}^T k_t)^T,    S_t = a_t S_{t-1} + u_t,    o_t = S_t^T q_t

    Without momentum (e = 0) this is the gated delta rule (Yang et al., ICLR 2025), without decay as well (a = 1) the
    delta rule (Schlag et al., ICML 2021); momentum is that of Titans (Behrouz et al., 2025) with a linear memory.

    Args:
        query: (B, H, T, K).
        key: (B, H, T, K), of norm 1.
        value: (B, H, T, V).
        plasticity: (B, H, T), b: 0 writes nothing, 1 replaces the retrieved value.
        log_decay: (B, H, T), log a, finite, 0 or less; None for no decay.
        log_momentum: (B, H, T), log e, finite, 0 or less; None for no momentum.
        memory: State after the previous steps; None starts from `prime`.
        prime: (H, K, V), initial content for each new document; None for zeros.
        reset: bool (B, T), True at the first step of a document.
        subtract_stored: False writes v_t regardless of the content: linear attention (Katharopoulos et al., ICML 2020).
        scale: Factor of the queries; None for K ** -0.5.

    Returns:
        output: (B, H, T, V), of the dtype of `value`.
        memory: State after the last step, float32 (float64 if the values are).
    """
    dtype = _computed_in(value)
    with torch.autocast(value.device.type, enabled=False):
        content, running = _start(memory, prime, key, value, with_momentum=log_momentum is not None)
        query, key, values, plasticity = (x.to(dtype) for x in (query, key, value, plasticity))
        query = query * (key.shape[-1] ** -0.5 if scale is None else scale)
        fresh = torch.zeros_like(content) if prime is None else prime.to(dtype).expand_as(content)
        decays = [None] * key.shape[2] if log_decay is None else log_decay.to(dtype).exp().unbind(dim=2)
        momenta = [None] * key.shape[2] if log_momentum is None else log_momentum.to(dtype).exp().unbind(dim=2)
        steps = zip(*(x.unbind(dim=2) for x in (query, key, values, plasticity)), decays, momenta, strict=True)
        outputs = []
        for t, (query_t, key_t, value_t, plasticity_t, decay, momentum) in enumerate(steps):
            if reset is not None:
                new = reset[:, t, None, None, None]
                content = torch.where(new, fresh, content)
                running = None if running is None else running.masked_fill(new, 0.0)
            if decay is not None:
                content = content * decay[..., None, None]
            if subtract_stored:
                value_t = value_t - _read(content, key_t)
            write = key_t[..., None] * (plasticity_t[..., None] * value_t)[..., None, :]
            if momentum is not None and running is not None:
                write = running = momentum[..., None, None] * running + write
            content = content + write
            outputs.append(_read(content, query_t))
        return torch.stack(outputs, dim=2).to(value.dtype), Memory(content, running)


def chunkwise_delta_rule(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plasticity: Tensor,
    *,
    log_decay: Tensor | None = None,
    log_momentum: Tensor | None = None,
    memory: Memory | None = None,
    prime: Tensor | None = None,
    reset: Tensor | None = None,
    subtract_stored: bool = True,
    scale: float | None = None,
    chunk_size: int = 32,
) -> tuple[Tensor, Memory]:
    """Chunk-parallel delta rule: all steps of a chunk at once, by one triangular solve.

    The prediction of step i is linear in the writes before it (`decay_masks`), so the writes of a chunk solve a unit
    lower triangular system. All chunks are solved at once, for their start state as well; the sequential part only
    passes content and momentum from chunk to chunk. After Yang et al. (NeurIPS 2024).

    Args:
        query: (B, H, T, K); arguments and results as in `recurrent_delta_rule`.
        key: (B, H, T, K).
        value: (B, H, T, V).
        plasticity: (B, H, T).
        log_decay: (B, H, T).
        log_momentum: (B, H, T).
        memory: State after the previous steps.
        prime: (H, K, V).
        reset: bool (B, T).
        subtract_stored: False for linear attention.
        scale: Factor of the queries.
        chunk_size: Steps per chunk; does not change the result.

    Returns:
        output: (B, H, T, V).
        memory: State after the last step.

    Raises:
        ValueError: The chunk size is below 1.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size: {chunk_size} given, at least 1 is needed")
    dtype, length = _computed_in(value), key.shape[2]
    with torch.autocast(value.device.type, enabled=False):
        content, running = _start(memory, prime, key, value, with_momentum=log_momentum is not None)
        query = query.to(dtype) * (key.shape[-1] ** -0.5 if scale is None else scale)
        if torch.compiler.is_exporting() and reset is None:  # with a dynamic length the number of chunks is not fixed
            output, memory = _scanned(
                query, key, value, plasticity, log_decay, log_momentum, content, running, subtract_stored
            )
            return output.to(value.dtype), memory
        query, key, values, rate = (in_chunks(x.to(dtype), chunk_size) for x in (query, key, value, plasticity))
        decay, momentum = (None if x is None else in_chunks(x.to(dtype), chunk_size) for x in (log_decay, log_momentum))
        new = None if reset is None else in_chunks(reset[:, None], chunk_size)
        masks = decay_masks(decay, momentum, new, length=length, like=values)
        # Initial content that documents starting within a chunk read, at each of their steps; None if there is none.
        primed = None if prime is None or masks.primed is None else (masks.primed[..., None], prime[:, None].to(dtype))

        reads = added = None
        if subtract_stored:
            if primed is not None:
                values = values - (key * primed[0]) @ primed[1]
            # Coefficients scale the columns of the inverse, which are shorter than keys and values.
            inverse = _UnitLowerInverse.apply((key @ key.mT) * (masks.before * rate[..., None]))
            solved = inverse * rate[..., None, :]
            factors = (solved if mask is None else solved * mask[..., None, :] for mask in masks.start_before)
            reads = torch.cat([factor @ key for factor in factors], dim=-1)
            writes = solved @ values
        else:
            writes = values * rate[..., None]
        if primed is not None:
            added = primed[0][..., -1:, :] * F.pad(primed[1], (0, 0, 0, 0 if running is None else key.shape[-1]))
            added = added.expand(*key.shape[:3], -1, -1)

        before = content if running is None else torch.cat([content, running], dim=-2)
        starts, writes, after = chunk_scan(
            before, writes, _by_part(key, masks.last), reads=reads, carried=masks.carried, added=added
        )
        output = _by_part(query, masks.start_after) @ starts + ((query @ key.mT) * masks.after) @ writes
        if primed is not None:
            output = output + (query * primed[0]) @ primed[1]
        return output.flatten(2, 3)[:, :, :length].to(value.dtype), Memory(*after.split(key.shape[-1], dim=-2))


def _scanned(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    plasticity: Tensor,
    log_decay: Tensor | None,
    log_momentum: Tensor | None,
    content: Tensor,
    running: Tensor | None,
    subtract_stored: bool,
) -> tuple[Tensor, Memory]:
    """Sequential delta rule as one `scan` operator, for export."""
    dtype = content.dtype
    decay = torch.ones_like(plasticity, dtype=dtype) if log_decay is None else log_decay.to(dtype).exp()
    momentum = torch.zeros_like(decay) if log_momentum is None else log_momentum.to(dtype).exp()
    steps = [x.to(dtype).movedim(2, 0) for x in (query, key, value, plasticity, decay, momentum)]
    before = (content, torch.zeros_like(content) if running is None else running)

    def step(carried: tuple[Tensor, Tensor], given: list[Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        query_t, key_t, value_t, plasticity_t, keeps, carries = given
        content = carried[0] * keeps[..., None, None]
        if subtract_stored:
            value_t = value_t - _read(content, key_t)
        write = (
            carries[..., None, None] * carried[1] + key_t[..., None] * (plasticity_t[..., None] * value_t)[..., None, :]
        )
        content = content + write
        return (content, write), _read(content, query_t)

    (content, write), outputs = scan(step, before, steps)
    return outputs.movedim(0, 2), Memory(content, None if running is None else write)


class _UnitLowerInverse(torch.autograd.Function):
    """(I + L)^-1, L strictly lower triangular; the gradient takes two products instead of a second solve."""

    @staticmethod
    def forward(ctx: Any, system: Tensor) -> Tensor:
        identity = torch.eye(system.shape[-1], dtype=system.dtype, device=system.device).expand_as(system)
        inverse = torch.linalg.solve_triangular(system, identity, upper=False, unitriangular=True)
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (inverse,) = ctx.saved_tensors
        return -(inverse.mT @ gradient @ inverse.mT).tril(-1)


def _read(content: Tensor, key: Tensor) -> Tensor:
    """Retrieves values (..., V) with keys (..., K) from contents (..., K, V)."""
    return (key[..., None, :] @ content)[..., 0, :]


def _start(
    memory: Memory | None, prime: Tensor | None, key: Tensor, value: Tensor, *, with_momentum: bool
) -> tuple[Tensor, Tensor | None]:
    """Content and momentum before the first step."""
    dtype = _computed_in(value)
    batch, heads, _, slots = key.shape
    if memory is not None:
        content = memory.content.to(dtype)
    else:
        content = torch.zeros(batch, heads, slots, value.shape[-1], dtype=dtype, device=value.device)
        content = content if prime is None else content + prime
    if not with_momentum:
        return content, None
    running = None if memory is None else memory.momentum
    return content, torch.zeros_like(content) if running is None else running.to(dtype)


def _by_part(vectors: Tensor, masks: tuple[Tensor | None, ...]) -> Tensor:
    """Repeats vectors (..., C, K) for each part of the memory, (..., C, M * K), scaled by its coefficients."""
    return torch.cat([vectors if mask is None else vectors * mask[..., None] for mask in masks], dim=-1)


def _computed_in(value: Tensor) -> torch.dtype:
    return torch.float64 if value.dtype == torch.float64 else torch.float32
