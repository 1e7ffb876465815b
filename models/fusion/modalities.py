"""Modalities of rows: the tokens of a text, numbers with categories, and vectors that the data brings."""

from collections.abc import Sequence

from torch import Tensor, nn
from typing_extensions import override

from models.fusion.modality import Modality
from models.tabular import MLP
from models.tabular.number_embeddings import NumberEmbeddingsFactory
from models.text import MeanPooling


class TextModality(Modality):
    """The tokens of a text, by an encoder and a pooling.

    Args:
        encoder: (token_ids, attention_mask) -> (B, L, E), with the attribute `hidden_size` E, e.g. `PretrainedEncoder`.
        pooling: (hidden, attention_mask) -> (B, E); None for `MeanPooling`.
        dropout: Dropout of the vector.
    """

    inputs = ("token_ids", "attention_mask")

    def __init__(self, *, encoder: nn.Module, pooling: nn.Module | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling or MeanPooling()
        self.dropout = nn.Dropout(dropout)
        self.output_size: int = encoder.hidden_size  # type: ignore[assignment]

    @override
    def forward(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Vector of each text.

        Args:
            token_ids: int64 (B, L).
            attention_mask: 1 token, 0 padding, int64 (B, L).

        Returns:
            (B, output_size).
        """
        return self.dropout(self.pooling(self.encoder(token_ids, attention_mask), attention_mask))


class TableModality(Modality):
    """Numbers and categories, embedded, by a perceptron.

    Args:
        num_numbers: Number columns, F; taken from the data.
        cardinalities: Number of categories of each category column, K numbers; taken from the data.
        output_size: Size of the vector.
        hidden_size: Width of the hidden layers.
        num_layers: Number of hidden layers.
        dropout: Dropout after each hidden layer.
        embedding_size: Numbers per category.
        number_embeddings: Makes embeddings of the numbers; None for the numbers and their missing indicators.
    """

    data_arguments = ("num_numbers", "cardinalities")

    def __init__(
        self,
        *,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        output_size: int = 64,
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        embedding_size: int = 8,
        number_embeddings: NumberEmbeddingsFactory | None = None,
    ) -> None:
        super().__init__()
        self._inputs = (*(("numbers", "missing") if num_numbers else ()), *(("categories",) if cardinalities else ()))
        if not self._inputs:
            raise ValueError("TableModality: the data has neither numbers nor categories; leave the modality out")
        self.network = MLP(
            output_size=output_size,
            num_numbers=num_numbers,
            cardinalities=cardinalities,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            embedding_size=embedding_size,
            number_embeddings=number_embeddings,
        )
        self.output_size = output_size

    @property
    @override
    def inputs(self) -> tuple[str, ...]:
        return self._inputs

    @override
    def forward(
        self, numbers: Tensor | None = None, missing: Tensor | None = None, categories: Tensor | None = None
    ) -> Tensor:
        """Vector of each row, (B, output_size); arguments as of `MLP.forward`."""
        vector: Tensor = self.network(numbers=numbers, missing=missing, categories=categories)
        return vector.relu()


class VectorModality(Modality):
    """Vectors that the data brings, such as hashed words or an embedding made elsewhere, by a linear layer.

    Args:
        vector_size: Size of the vectors, V; taken from the data.
        output_size: Size of the vector made of them.
        dropout: Dropout of that vector.
    """

    inputs = ("vectors",)
    data_arguments = ("vector_size",)

    def __init__(self, *, vector_size: int = 0, output_size: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        if not vector_size:
            raise ValueError("VectorModality: the data has no vectors; leave the modality out")
        self.layers = nn.Sequential(nn.Linear(vector_size, output_size), nn.ReLU(), nn.Dropout(dropout))
        self.output_size = output_size

    @override
    def forward(self, vectors: Tensor) -> Tensor:
        """Vector of each row, (B, output_size).

        Args:
            vectors: float32 (B, V).
        """
        vector: Tensor = self.layers(vectors)
        return vector
