"""Node ids as an attribute of a graph."""

from typing import Any

import numpy as np
import polars as pl


class TextNames:
    """Text ids that PyG's loaders pass on unchanged: they would convert an array to a tensor, and fail.

    Args:
        names: Array (N,) of texts.
    """

    def __init__(self, names: np.ndarray) -> None:
        self.names = names

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.names, dtype=dtype) if copy else np.asarray(self.names, dtype=dtype)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        return self.names[index]

    def __repr__(self) -> str:
        return f"[{len(self)}]"

    def tolist(self) -> list[str]:
        """The ids in node order."""
        return list(self.names)


def names_of(ids: pl.Series) -> np.ndarray | TextNames:
    """`node_names` of a graph: an array of integers, or texts.

    Args:
        ids: A column from `id_column`.
    """
    return TextNames(ids.to_numpy()) if ids.dtype == pl.String else ids.to_numpy()
