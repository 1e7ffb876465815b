"""TokenNetwork: encoder, the shapes of words, dropout and a linear head for each token."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from features.text.word_shapes import SHAPES


class TokenNetwork(nn.Module):
    """From tokens to a number per tag and token.

    Uncased tokenizers lose how a word is written, which says much about names. `word_shapes` gives it back: a vector
    per shape (`Capitalised`, `UPPER`, `digits`, ...) is added to the vectors of the tokens before the first layer, so
    that all layers see it. It starts at zero: as the pretrained encoder.

    Args:
        encoder: (token_ids, attention_mask, added) -> (B, L, E), with `hidden_size` E, e.g. `PretrainedEncoder`.
        output_size: Numbers per token.
        word_shapes: Whether the encoder sees the shapes of words.
        dropout: Dropout of the vectors before the head.
        head_lr_scale: Learning rate of head and shapes over that of the optimizer.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        output_size: int,
        word_shapes: bool = True,
        dropout: float = 0.1,
        head_lr_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        hidden_size = encoder.hidden_size
        assert isinstance(hidden_size, int)
        self.shapes = nn.Embedding(len(SHAPES), hidden_size) if word_shapes else None
        if self.shapes is not None:
            nn.init.zeros_(self.shapes.weight)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, output_size)
        self.head_lr_scale = head_lr_scale

    def lr_scales(self) -> dict[nn.Parameter, float]:
        """Learning rate of head and shapes over that of the optimizer."""
        parts = [self.output, *([] if self.shapes is None else [self.shapes])]
        return {parameter: self.head_lr_scale for part in parts for parameter in part.parameters()}

    @override
    def forward(self, token_ids: Tensor, attention_mask: Tensor, word_shapes: Tensor | None = None) -> Tensor:
        """Numbers of each token.

        Args:
            token_ids: int64 (B, L).
            attention_mask: 1 token, 0 padding, int64 (B, L).
            word_shapes: Index in `SHAPES` of the word of each token, int64 (B, L).

        Returns:
            float32 (B, L, output_size).
        """
        added = None if self.shapes is None or word_shapes is None else self.shapes(word_shapes)
        hidden = self.encoder(token_ids, attention_mask, added)
        return self.output(self.dropout(hidden)).to(torch.float32)
