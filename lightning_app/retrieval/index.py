"""Index: embeddings of texts on disk, and the texts nearest to a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.values import Array
from lightning_app.retrieval.exact_search import exact_search
from lightning_app.retrieval.faiss_search import FaissSearch
from lightning_app.retrieval.index_folder import EMBEDDINGS, ENGINES, HNSW, ROWS, Engine, IndexManifest
from lightning_app.retrieval.text_embedding import TextEmbedding


@dataclass(frozen=True)
class Neighbor:
    """A row of an index that was found.

    Attributes:
        id: Its id.
        score: Cosine, or inner product for an index of `dot`; higher is nearer.
        text: Its text; None of an index of a column of embeddings without texts.
    """

    id: Any
    score: float
    text: str | None


class Index:
    """Embeddings of the rows of a table; use `Index.load`.

    Args:
        folder: Folder of the index.
        manifest: Its verified manifest.
        engine: Engine that searches; None for that of the manifest.
        package: Folder of the package that embeds questions; None for where it was when the index was built.
        num_threads: Threads of the package.
    """

    def __init__(
        self,
        *,
        folder: Path,
        manifest: IndexManifest,
        engine: Engine | None = None,
        package: str | Path | None = None,
        num_threads: int = 1,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.engine: Engine = engine or manifest.engine
        self._package = package
        self._num_threads = num_threads
        if self.engine not in ENGINES:
            raise UsageError(f"engine: {engine!r} given, allowed: {', '.join(ENGINES)}")
        if self.engine == "hnsw" and manifest.engine != "hnsw":
            raise UsageError(
                f"engine: 'hnsw' given, {folder} was built for {manifest.engine!r}; build it with `--engine hnsw`"
            )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        engine: Engine | None = None,
        package: str | Path | None = None,
        num_threads: int = 1,
    ) -> "Index":
        """Verifies and opens an index; embeddings stay on disk, mapped into memory, unless faiss searches.

        Args:
            folder: Folder of the index.
            engine: `numpy` and `faiss` search exactly, `hnsw` approximately; None for the engine it was built for.
            package: Folder of the package that embeds questions; None for where it was when the index was built.
            num_threads: Threads of the package.

        Raises:
            UsageError: The folder is no index, was changed since it was built, or has no such engine.
        """
        path = Path(folder)
        manifest = IndexManifest.read(path)
        return cls(folder=path, manifest=manifest, engine=engine, package=package, num_threads=num_threads)

    @cached_property
    def embeddings(self) -> Array:
        """Embeddings, float32 (N, E), mapped into memory."""
        vectors: Array = np.load(self.folder / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
        return vectors

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Columns `id` and `text` of the rows."""
        return pl.read_parquet(self.folder / ROWS)

    @cached_property
    def _faiss(self) -> FaissSearch:
        if self.engine == "hnsw":
            return FaissSearch.read(self.folder / HNSW)
        return FaissSearch.of(self.embeddings, approximate=False)

    @cached_property
    def embedding(self) -> TextEmbedding:
        """The package that embeds questions.

        Raises:
            UsageError: The index has no package, or the package is another than that which built it.
        """
        built = self.manifest.package
        if built is None:
            raise UsageError(
                f"index: {self.folder} was built of a column of embeddings, no package embeds a question; search by "
                "vectors, or by the id of a row"
            )
        path = Path(built.path if self._package is None else self._package)
        if not path.is_dir():
            raise UsageError(f"package: {path} does not exist; name the folder of {built.name!r} with --package")
        embedding = TextEmbedding.load(path, num_threads=self._num_threads)
        if embedding.package.digest != built.digest:
            raise UsageError(
                f"package: {path} has the digest {embedding.package.digest[:12]}, the index was built by "
                f"{built.digest[:12]}; name that package, or build the index again"
            )
        return embedding

    def search(self, texts: Sequence[str], *, top: int = 10) -> list[list[Neighbor]]:
        """The rows nearest to each text, nearest first.

        Args:
            texts: Questions.
            top: Rows per question.

        Raises:
            UsageError: The package is not that which built the index, or refuses a text.
        """
        if isinstance(texts, str):
            raise UsageError(f"texts: the text {texts[:40]!r} given, a list of texts is needed")
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise UsageError(f"text {number}: {text!r} given, a text of at least one character is needed")
        return self.search_vectors(self.embedding.embed(texts), top=top)

    def search_vectors(self, vectors: Array, *, top: int = 10) -> list[list[Neighbor]]:
        """As `search`, by embeddings.

        Args:
            vectors: Of the questions, (Q, E).
            top: Rows per question.
        """
        positions, scores = self.positions(vectors, top=top)
        found = self.rows[positions.ravel().tolist()]
        ids, texts = found["id"].to_list(), found["text"].to_list()
        flat = [Neighbor(*one) for one in zip(ids, map(float, scores.ravel().tolist()), texts, strict=True)]
        count = positions.shape[1]
        return [flat[start : start + count] for start in range(0, len(flat), count)]

    def positions(self, vectors: Array, *, top: int) -> tuple[Array, Array]:
        """Row numbers and scores of the rows nearest to each vector.

        Args:
            vectors: (Q, E).
            top: Rows per vector.

        Returns:
            positions: int64 (Q, K), K = min(top, rows of the index).
            scores: float32 (Q, K).

        Raises:
            UsageError: The vectors have another size, or are not finite.
        """
        if top < 1:
            raise UsageError(f"top: {top} given, at least 1 is needed")
        queries = np.asarray(vectors, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.manifest.size:
            raise UsageError(f"vectors: shape {list(queries.shape)} given, (queries, {self.manifest.size}) is needed")
        if not np.isfinite(queries).all():
            raise UsageError("vectors: numbers that are not finite given")
        if self.manifest.metric == "cosine":
            queries = normalized(queries)
        if self.engine == "numpy":
            return exact_search(self.embeddings, queries, top=top)
        return self._faiss.search(queries, top=top)

    def neighbors_of(self, row_id: str, *, top: int = 10) -> list[Neighbor]:
        """The rows nearest to a row of the index, without itself.

        Args:
            row_id: Its id, as text.
            top: How many.

        Raises:
            UsageError: No row has the id.
        """
        place = (self.rows["id"].cast(pl.String) == row_id).arg_true()
        if not len(place):
            raise UsageError(f"id: no row of {self.folder} has the id {row_id!r}")
        own = self.rows["id"][place[0]]
        (found,) = self.search_vectors(self.embeddings[place[0]][None], top=top + 1)
        return [neighbor for neighbor in found if neighbor.id != own][:top]


def normalized(vectors: Array) -> Array:
    """Vectors of length 1, float32; a vector of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: Array = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return result
