"""Modality, a part of a row with a network of its own: a text, the columns of a table, an image."""

from abc import ABC, abstractmethod

from torch import nn


class Modality(nn.Module, ABC):
    """Makes a vector of one part of a row; `forward` takes its inputs by name and gives (B, output_size).

    Attributes:
        output_size: Size of the vector.
    """

    output_size: int

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs among those of the data, e.g. `token_ids` and `attention_mask`."""
