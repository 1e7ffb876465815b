"""Router attention: attention through a few learned routers, linear in the number of tokens."""

import torch
from torch import Tensor, nn

from models.layers.narrow_attention import NarrowAttention


class RouterAttention(nn.Module):
    """Two-stage attention of Crossformer (Zhang & Yan, ICLR 2023): O(T * R) instead of O(T * T).

    Learned routers attend to all tokens, then the tokens attend to the routers.

    Args:
        hidden_size: Width D.
        num_heads: Attention heads.
        num_routers: Routers R.
        attention_size: Width of all heads together; None for D.
    """

    def __init__(
        self, *, hidden_size: int, num_heads: int, num_routers: int, attention_size: int | None = None
    ) -> None:
        super().__init__()
        self.router = nn.Parameter(torch.randn(num_routers, hidden_size) * 0.02)
        self.gather, self.distribute = (
            nn.MultiheadAttention(hidden_size, num_heads, batch_first=True)
            if attention_size is None
            else NarrowAttention(hidden_size=hidden_size, num_heads=num_heads, attention_size=attention_size)
            for _ in range(2)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Mixes tokens (B, T, D) -> (B, T, D)."""
        router = self.router.expand(tokens.shape[0], -1, -1)  # (B, R, D)
        messages, _ = self.gather(router, tokens, tokens, need_weights=False)
        mixed, _ = self.distribute(tokens, messages, messages, need_weights=False)
        return mixed
