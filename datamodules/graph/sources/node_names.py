"""Ids of nodes as a graph carries them."""

from typing import Any

import numpy as np
import polars as pl


class TextNames:
    """Ids that are texts, which PyG's loaders hand on whole: of an array they would make a tensor, and fail.

    Args:
        names: Array (N,) of texts.
    """

    def __init__(self, names: np.ndarray) -> None:
        self.names = names

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.names, dtype=dtype) if copy else np.asarray(self.names, dtype=dtype)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: Any) -> Any:
        return self.names[place]

    def __repr__(self) -> str:
        return f"[{len(self)}]"

    def tolist(self) -> list[str]:
        """The ids in the order of the nodes."""
        return list(self.names)


def names_of(ids: pl.Series) -> np.ndarray | TextNames:
    """`node_names` of a graph: an array of whole numbers, or texts.

    Args:
        ids: A column of `id_column`.
    """
    return TextNames(ids.to_numpy()) if ids.dtype == pl.String else ids.to_numpy()
