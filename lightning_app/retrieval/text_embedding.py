"""Text embedding: asks a package for the embeddings of texts, in batches of similar length."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from features.sources import Notes
from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.packaging.runtime.values import Array

OUTPUT = "embedding"
_BATCH = 64


@dataclass(frozen=True)
class TextEmbedding:
    """A package that answers texts with embeddings; use `TextEmbedding.load`.

    Attributes:
        package: The package.
        column: Column of its requests with the text.
        size: Numbers of an embedding.
    """

    package: Package
    column: str
    size: int

    @classmethod
    def load(cls, path: str | Path, *, num_threads: int = 1) -> "TextEmbedding":
        """Loads a package.

        Args:
            path: Its folder.
            num_threads: Threads per call.

        Raises:
            PackageError: The folder is no package, or was changed.
            UsageError: The package does not answer one text with an embedding.
        """
        package = Package.load(path, num_threads=num_threads)
        manifest = package.manifest
        outputs = {spec.name: spec for spec in manifest.outputs}
        if OUTPUT not in outputs or len(outputs[OUTPUT].shape) != 2:
            raise UsageError(
                f"package: {manifest.name} answers {', '.join(outputs)}, an output {OUTPUT!r} (batch, size) is needed; "
                "export a TextEmbedder"
            )
        raw = manifest.raw_input
        texts = [column.name for column in raw.columns if column.required] if raw is not None else []
        if raw is None or len(texts) != 1 or any(one.type != "text" for one in raw.columns if one.required):
            raise UsageError(
                f"package: {manifest.name} takes {', '.join(texts) or 'no raw rows'}, one column of texts is needed"
            )
        size = outputs[OUTPUT].shape[1]
        assert isinstance(size, int)
        return cls(package, texts[0], size)

    def embed(self, texts: Sequence[str], notes: Notes | None = None) -> Array:
        """Embeddings of texts, float32 (N, E).

        Args:
            texts: The texts.
            notes: Takes what the package counts, e.g. how many were truncated.

        Raises:
            UsageError: The package refuses a text; the message has the text's number from 0.
        """
        embeddings = np.empty((len(texts), self.size), dtype=np.float32)
        order = np.argsort([len(text) for text in texts], kind="stable")  # batches of similar length, little padding
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            table = pl.DataFrame({self.column: [texts[row] for row in rows]})
            answers = list(self.package.predictor.predict_raw(table))
            for answer in answers:
                if answer.rejected:
                    row, reason = next(iter(answer.rejected.items()))
                    raise UsageError(f"text {rows[row]}: {reason}")
                if notes is not None:
                    for (name, kind), count in answer.counts.items():
                        notes.add(name, kind, count)
            embeddings[rows] = np.concatenate([_matrix(answer.table[OUTPUT]) for answer in answers])
        return embeddings


def _matrix(column: pl.Series) -> Array:
    """A column of lists of one length as float32 (N, E)."""
    values = column.to_numpy()
    return np.stack(list(values)).astype(np.float32) if values.dtype == object else values.astype(np.float32)
