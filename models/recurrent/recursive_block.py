"""Block of recursive networks: mixing over the steps, then SwiGLU over the features.

Tensors are steps first, (L, B, D): mixing over the length is then one matrix product without a transposed copy.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.swiglu import SwiGLU


class LengthMixing(nn.Module):
    """SwiGLU over the steps, the same for each feature; every step depends on every other.

    Args:
        seq_len: Steps L, fixed.
        expansion: Width relative to L of an ungated network with the same number of parameters.
    """

    def __init__(self, *, seq_len: int, expansion: float) -> None:
        super().__init__()
        self.seq_len = seq_len
        width = _gated_width(seq_len, expansion)
        self.gate = lecun_linear(seq_len, width)
        self.value = lecun_linear(seq_len, width)
        self.down = lecun_linear(width, seq_len)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        """(L, B, D) -> (L, B, D); masks are not supported."""
        assert mask is None
        if len(steps) != self.seq_len:
            raise ValueError(f"{len(steps)} steps given, this network mixes exactly seq_len {self.seq_len}")
        flat = steps.flatten(1)  # (L, B * D)
        hidden = F.silu(self.gate.weight @ flat) * (self.value.weight @ flat)
        return (self.down.weight @ hidden).view(steps.shape)


class AttentionMixing(nn.Module):
    """Multi-head self-attention with rotary position embeddings (Su et al., 2021), without biases.

    Args:
        features: Features D of a step.
        num_heads: Heads; D / heads must be even.
        causal: Whether a step attends only to itself and earlier steps.
    """

    def __init__(self, *, features: int, num_heads: int, causal: bool) -> None:
        super().__init__()
        if num_heads < 1 or features % (2 * num_heads):
            raise ValueError(f"num_heads: {num_heads} given, {features} features must split into heads of even width")
        self.num_heads = num_heads
        self.causal = causal
        self.query_key_value = lecun_linear(features, 3 * features)
        self.output = lecun_linear(features, features)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        """(L, B, D) -> (L, B, D); `mask`, bool (B, L, L), True where a step may attend, replaces `causal`."""
        split = self.query_key_value(steps).unflatten(-1, (3, self.num_heads, -1))  # (L, B, 3, heads, D / heads)
        query, key, value = split.permute(2, 1, 3, 0, 4)  # (B, heads, L, D / heads) each
        query, key = _rotate(query), _rotate(key)
        seen = None if mask is None else mask.unsqueeze(1)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=seen, is_causal=self.causal and mask is None
        )
        return self.output(mixed.permute(2, 0, 1, 3).flatten(2))


class RecursiveBlock(nn.Module):
    """Two residual branches, each normalised after the addition, so that repeated application stays bounded.

    Args:
        mixing: Maps (L, B, D) to (L, B, D), across the steps.
        features: Features D of a step.
        expansion: Width relative to D of an ungated feed-forward network with the same number of parameters.
    """

    def __init__(self, *, mixing: nn.Module, features: int, expansion: float) -> None:
        super().__init__()
        self.mixing = mixing
        self.feed_forward = SwiGLU(input_size=features, hidden_size=_gated_width(features, expansion))
        for linear in (self.feed_forward.expand, self.feed_forward.contract):
            lecun_init(linear)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        """(L, B, D) -> (L, B, D); `mask` bool (B, L, L) or None."""
        steps = _normalize(steps + self.mixing(steps, mask))
        return _normalize(steps + self.feed_forward(steps))


def lecun_linear(in_features: int, out_features: int) -> nn.Linear:
    """Linear map without bias; weights truncated normal with variance 1 / in_features (LeCun et al., 1998)."""
    linear = nn.Linear(in_features, out_features, bias=False)
    lecun_init(linear)
    return linear


def lecun_init(linear: nn.Linear) -> None:
    """Initialises the weights as in `lecun_linear`."""
    std = linear.in_features**-0.5
    nn.init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std)


def _gated_width(features: int, expansion: float) -> int:
    # Two thirds, because a gated network has three matrices; multiples of 8 suit vector instructions.
    return max(8, 8 * math.ceil(expansion * features * 2 / 3 / 8))


def _normalize(steps: Tensor) -> Tensor:
    """Scales each step to root mean square 1, in float32 even under autocast."""
    return F.rms_norm(steps.float(), steps.shape[-1:], eps=1e-5)


def _rotate(heads: Tensor) -> Tensor:
    """Rotates pairs of features by angles proportional to the position.

    Args:
        heads: (B, heads, L, E).
    """
    length, width = heads.shape[-2:]
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2, device=heads.device) / width)  # (E / 2,)
    angles = torch.outer(torch.arange(length, device=heads.device), frequencies)  # (L, E / 2)
    cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
