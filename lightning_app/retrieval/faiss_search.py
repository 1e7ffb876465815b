"""Faiss search: flat (exact) and HNSW (approximate) indexes of inner products, from the extra `retrieval`."""

from pathlib import Path
from typing import Any

import numpy as np

from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.values import Array

_LINKS = 32
_CONSTRUCTION = 200
_SEARCHED = 128
"""Links of a node, and candidates that building and searching of HNSW keep; see Malkov & Yashunin (2018)."""
_BLOCK = 65536


class FaissSearch:
    """A faiss index in memory.

    Args:
        index: The index, of inner products.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def of(cls, vectors: Array, *, approximate: bool) -> "FaissSearch":
        """Makes an index.

        Args:
            vectors: float32 (N, E).
            approximate: HNSW; else flat, whose answers are those of `exact_search`.

        Raises:
            UsageError: faiss is not installed.
        """
        faiss = import_faiss()
        size = vectors.shape[1]
        if approximate:
            index = faiss.IndexHNSWFlat(size, _LINKS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = _CONSTRUCTION
        else:
            index = faiss.IndexFlatIP(size)
        for start in range(0, len(vectors), _BLOCK):  # of a memory map, only a block is in memory twice
            index.add(np.ascontiguousarray(vectors[start : start + _BLOCK], dtype=np.float32))
        return cls(index)

    @classmethod
    def read(cls, path: Path) -> "FaissSearch":
        """Reads an index that `write` wrote; the file must be verified before.

        Raises:
            UsageError: faiss is not installed.
        """
        return cls(import_faiss().read_index(str(path)))

    def write(self, path: Path) -> None:
        """Writes the index to a file."""
        import_faiss().write_index(self.index, str(path))

    def search(self, queries: Array, *, top: int) -> tuple[Array, Array]:
        """As `exact_search`.

        Args:
            queries: float32 (Q, E).
            top: Rows per query.
        """
        if hasattr(self.index, "hnsw"):
            self.index.hnsw.efSearch = max(_SEARCHED, top)
        scores, positions = self.index.search(np.ascontiguousarray(queries), min(top, self.index.ntotal))
        return positions, scores


def import_faiss() -> Any:
    """The module `faiss`.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise UsageError(
            "engine: faiss is not installed; `pip install 'lightning-r2p[retrieval]'`, or leave --engine out: "
            "numpy searches exactly"
        ) from error
    return faiss
