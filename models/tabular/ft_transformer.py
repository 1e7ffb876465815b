"""FTTransformer: a transformer over the features of a row, one token per feature (Gorishniy et al., 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.layers.narrow_attention import NarrowAttention
from models.tabular.number_embeddings import LinearEmbeddings, NumberEmbeddingsFactory
from models.tabular.row_input import CategoryEmbeddings, check_sizes

_SIZES = (96, 128, 192, 256, 320, 384)
"""Default width of the tokens by number of blocks, and below the default dropouts, as of the reference code."""
_ATTENTION_DROPOUTS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
_FEEDFORWARD_DROPOUTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)


class FTTransformer(nn.Module):
    """Transformer over one token per number, category and vector, answered from a token of its own.

    Norms come before attention and feed-forward network, but for the first attention. Biases, norms and the tokenizer
    have no weight decay.

    Args:
        output_size: Outputs per row.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V, which are one token.
        num_layers: Blocks.
        hidden_size: Width of the tokens, D; None for that of the reference code, 96 to 384 for 1 to 6 blocks.
        num_heads: Attention heads.
        attention_dropout: Dropout of attention weights; None for that of the reference code, 0.1 to 0.35.
        feedforward_dropout: Dropout in the feed-forward networks; None for that of the reference code, 0 to 0.25.
        residual_dropout: Dropout of what a block adds to the tokens.
        feedforward_factor: Hidden features of the feed-forward networks over D.
        number_embeddings: Makes embeddings of the numbers; None for the linear ones of the paper.
    """

    def __init__(
        self,
        *,
        output_size: int,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
        num_layers: int = 3,
        hidden_size: int | None = None,
        num_heads: int = 8,
        attention_dropout: float | None = None,
        feedforward_dropout: float | None = None,
        residual_dropout: float = 0.0,
        feedforward_factor: float = 4 / 3,
        number_embeddings: NumberEmbeddingsFactory | None = None,
    ) -> None:
        super().__init__()
        check_sizes({"num_layers": num_layers})
        size = min(num_layers, len(_SIZES)) - 1
        hidden_size = _SIZES[size] if hidden_size is None else hidden_size
        if hidden_size < 1 or hidden_size % num_heads:
            raise ValueError(f"model.network.hidden_size: {hidden_size} given, a multiple of {num_heads} is needed")
        self.tokens = FeatureTokens(
            num_numbers=num_numbers,
            cardinalities=cardinalities,
            vector_size=vector_size,
            hidden_size=hidden_size,
            number_embeddings=number_embeddings,
        )
        self.blocks = nn.ModuleList(
            FTBlock(
                hidden_size=hidden_size,
                num_heads=num_heads,
                feedforward_size=int(feedforward_factor * hidden_size),
                attention_dropout=_ATTENTION_DROPOUTS[size] if attention_dropout is None else attention_dropout,
                feedforward_dropout=_FEEDFORWARD_DROPOUTS[size] if feedforward_dropout is None else feedforward_dropout,
                residual_dropout=residual_dropout,
                first=index == 0,
            )
            for index in range(num_layers)
        )
        self.output = nn.Sequential(nn.LayerNorm(hidden_size), nn.ReLU(), nn.Linear(hidden_size, output_size))

    @override
    def forward(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> Tensor:
        """Outputs of each row, see `MLP.forward`."""
        tokens = self.tokens(numbers, missing, categories, vectors)
        for block in self.blocks[:-1]:
            tokens = block(tokens, tokens)
        answer = self.blocks[-1](tokens[:, :1], tokens)  # of the last block nothing else is read
        outputs: Tensor = self.output(answer.squeeze(1))
        return outputs

    def undecayed_parameters(self) -> list[nn.Parameter]:
        """Parameters without weight decay: of the tokenizer, of norms, and biases."""
        plain = {id(parameter) for parameter in self.tokens.parameters()}
        norms = (module for module in self.modules() if isinstance(module, nn.LayerNorm))
        plain |= {id(parameter) for norm in norms for parameter in norm.parameters()}
        return [
            parameter for name, parameter in self.named_parameters() if id(parameter) in plain or name.endswith("bias")
        ]


class FeatureTokens(nn.Module):
    """A token per feature behind one that is learned, (B, 1 + features, hidden_size).

    Args:
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
        hidden_size: Width of the tokens.
        number_embeddings: Makes embeddings of the numbers; None for linear ones.
    """

    def __init__(
        self,
        *,
        num_numbers: int,
        cardinalities: Sequence[int] | None,
        vector_size: int,
        hidden_size: int,
        number_embeddings: NumberEmbeddingsFactory | None,
    ) -> None:
        super().__init__()
        if not (num_numbers or cardinalities or vector_size):
            raise ValueError("model.network: the data has no features: no numbers, no categories, no vectors")
        bound = hidden_size**-0.5
        self.answer = nn.Parameter(torch.empty(hidden_size).uniform_(-bound, bound))
        self.numbers: nn.Module | None = None
        self.projection: nn.Module = nn.Identity()
        if num_numbers and number_embeddings is None:
            self.numbers = LinearEmbeddings(num_numbers=num_numbers, embedding_size=hidden_size, activation=False)
        elif num_numbers:
            assert number_embeddings is not None
            embeddings = number_embeddings(num_numbers=num_numbers)
            self.numbers = embeddings
            if embeddings.embedding_size != hidden_size:
                self.projection = nn.Linear(embeddings.embedding_size, hidden_size)
        self.categories = (
            CategoryEmbeddings(cardinalities=cardinalities, embedding_size=hidden_size) if cardinalities else None
        )
        self.category_bias = nn.Parameter(torch.empty(len(cardinalities or ()), hidden_size).uniform_(-bound, bound))
        self.vectors = nn.Linear(vector_size, hidden_size) if vector_size else None

    @override
    def forward(
        self, numbers: Tensor | None, missing: Tensor | None, categories: Tensor | None, vectors: Tensor | None
    ) -> Tensor:
        """Tokens of each row, see `MLP.forward`."""
        tokens = []
        if numbers is not None:
            assert self.numbers is not None
            tokens.append(self.projection(self.numbers(numbers, missing)))
        if categories is not None:
            assert self.categories is not None
            tokens.append(self.categories.vectors(categories) + self.category_bias)
        if vectors is not None:
            assert self.vectors is not None
            tokens.append(self.vectors(vectors).unsqueeze(1))
        return torch.cat([self.answer.expand(tokens[0].shape[0], 1, -1), *tokens], dim=1)


class FTBlock(nn.Module):
    """Attention and a feed-forward network gated by a ReLU, each behind a norm and beside a residual connection.

    Args:
        hidden_size: Width of the tokens, D.
        num_heads: Attention heads.
        feedforward_size: Hidden features of the feed-forward network.
        attention_dropout: Dropout of attention weights.
        feedforward_dropout: Dropout of the hidden features.
        residual_dropout: Dropout of what is added to the tokens.
        first: Leave out the norm before the attention.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_heads: int,
        feedforward_size: int,
        attention_dropout: float,
        feedforward_dropout: float,
        residual_dropout: float,
        first: bool,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.Identity() if first else nn.LayerNorm(hidden_size)
        self.attention = NarrowAttention(
            hidden_size=hidden_size, num_heads=num_heads, attention_size=hidden_size, dropout=attention_dropout
        )
        self.feedforward_norm = nn.LayerNorm(hidden_size)
        self.expand = nn.Linear(hidden_size, 2 * feedforward_size)
        self.feedforward_dropout = nn.Dropout(feedforward_dropout)
        self.contract = nn.Linear(feedforward_size, hidden_size)
        self.residual_dropout = nn.Dropout(residual_dropout)

    @override
    def forward(self, asking: Tensor, tokens: Tensor) -> Tensor:
        """New values of some tokens.

        Args:
            asking: The tokens that are answered, (B, S, D).
            tokens: All tokens, (B, T, D).

        Returns:
            (B, S, D).
        """
        normed = self.attention_norm(tokens)
        attended, _ = self.attention(self.attention_norm(asking), normed, normed)
        asking = asking + self.residual_dropout(attended)
        hidden, gate = self.expand(self.feedforward_norm(asking)).chunk(2, dim=-1)
        hidden = self.contract(self.feedforward_dropout(hidden * gate.relu()))
        return asking + self.residual_dropout(hidden)
