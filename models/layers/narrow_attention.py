"""Multi-head attention with heads that are together narrower than the tokens, and an encoder layer with it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override


class NarrowAttention(nn.Module):
    """Multi-head attention whose total head width is independent of the token width.

    Equals `nn.MultiheadAttention` if both widths agree; parameter names are the same, so that heads can be pruned from
    one and the rest loaded into the other.

    Args:
        hidden_size: Width of the tokens, D.
        num_heads: Attention heads.
        attention_size: Width of all heads together, A.
        dropout: Dropout of the attention weights.
    """

    batch_first = True  # read by nn.TransformerEncoder

    def __init__(self, *, hidden_size: int, num_heads: int, attention_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        if attention_size % num_heads:
            raise ValueError(f"attention_size: {attention_size} given, a multiple of num_heads {num_heads} is needed")
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * attention_size, hidden_size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * attention_size))
        self.out_proj = nn.Linear(attention_size, hidden_size)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool = False) -> tuple[Tensor, None]:
        """Attends from the queries to the values.

        Args:
            query: (B, T, D).
            key: (B, S, D).
            value: (B, S, D).
            need_weights: Must be False; kept for the signature of `nn.MultiheadAttention`.

        Returns:
            (B, T, D), and None in place of attention weights.
        """
        assert not need_weights
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        heads = [
            F.linear(tokens, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for tokens, weight, bias in zip((query, key, value), weights, biases, strict=True)
        ]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(heads[0], heads[1], heads[2], dropout_p=dropout)
        output: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return output, None


class NarrowEncoderLayer(nn.TransformerEncoderLayer):
    """Pre-norm transformer encoder layer with `NarrowAttention` and GELU, batch first.

    Args:
        hidden_size: Width of the tokens, D.
        num_heads: Attention heads.
        attention_size: Width of all heads together.
        feed_forward_size: Width of the feed-forward network.
        dropout: Dropout of all branches.
    """

    def __init__(
        self, *, hidden_size: int, num_heads: int, attention_size: int, feed_forward_size: int, dropout: float
    ) -> None:
        super().__init__(hidden_size, 1, feed_forward_size, dropout, "gelu", batch_first=True, norm_first=True)
        self.self_attn = NarrowAttention(  # type: ignore[assignment]
            hidden_size=hidden_size, num_heads=num_heads, attention_size=attention_size, dropout=dropout
        )

    @override
    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encodes tokens (B, T, D) -> (B, T, D); masks are not supported."""
        assert src_mask is None
        assert src_key_padding_mask is None
        assert not is_causal
        normed = self.norm1(src)
        tokens = src + self.dropout1(self.self_attn(normed, normed, normed, need_weights=False)[0])
        return tokens + self._ff_block(self.norm2(tokens))
