"""InterpretableAttention: several heads that share their values, so that their mean weights say what was looked at.

Shapes: N windows, T rows, H queries, D hidden size.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InterpretableAttention(nn.Module):
    """Multi-head attention of the temporal fusion transformer, section 4.4 of the paper.

    The queries are the last H of the T rows; a row is attended to by itself and by later ones.

    Args:
        hidden_size: Width D, a multiple of `num_heads`.
        num_heads: Heads.
        num_rows: Rows, T.
        num_queries: Queries, H.
    """

    mask: Tensor

    def __init__(self, *, hidden_size: int, num_heads: int, num_rows: int, num_queries: int) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(f"hidden_size: {hidden_size} given, a multiple of num_heads {num_heads} is needed")
        self.num_heads = num_heads
        self.num_queries = num_queries
        head_size = hidden_size // num_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)  # a bias would not change the softmax
        self.value = nn.Linear(hidden_size, head_size)
        self.output = nn.Linear(head_size, hidden_size)
        row, query = torch.arange(num_rows), torch.arange(num_rows - num_queries, num_rows)
        self.register_buffer("mask", row <= query.unsqueeze(1), persistent=False)  # (H, T), True where attended to

    def forward(self, rows: Tensor) -> Tensor:
        """Attends from the last rows (N, T, D) to all before them: (N, H, D)."""
        query, key = self._queries_and_keys(rows)
        value = self.value(rows).unsqueeze(1).expand(-1, self.num_heads, -1, -1)
        # The mean of the heads' results is the result of their mean weights, which need not be stored.
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=self.mask)
        output: Tensor = self.output(attended.mean(dim=1))
        return output

    def weights(self, rows: Tensor) -> Tensor:
        """Mean weights of the heads (N, H, T) over rows (N, T, D)."""
        query, key = self._queries_and_keys(rows)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        return scores.masked_fill(~self.mask, -torch.inf).softmax(dim=-1).mean(dim=1)

    def _queries_and_keys(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(N, heads, H, D / heads) and (N, heads, T, D / heads)."""
        queries, keys = self.query(rows[:, -self.num_queries :]), self.key(rows)
        query, key = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (queries, keys))
        return query, key
