"""Embedding parts: embeddings of a table, part by part on disk, so that a killed job goes on where it stopped."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from features.sources import Notes
from lightning_app.atomic_write import replacing, write_whole
from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.values import Array
from lightning_app.retrieval.text_embedding import TextEmbedding

PART_ROWS = 2048
_JOB = "job.json"


class EmbeddingParts:
    """Parts of one job in a hidden folder beside the index; made by `embedding_parts`.

    Args:
        folder: Folder of the parts.
        embedding: The package.

    Attributes:
        resumed: Rows whose embeddings an earlier run of the job left.
        notes: What the package counted of the texts that this run embedded.
    """

    def __init__(self, folder: Path, embedding: TextEmbedding) -> None:
        self.folder = folder
        self.embedding = embedding
        self.resumed = 0
        self.notes = Notes()

    def vectors(self, texts: Sequence[str], on_progress: Callable[[int], None] = lambda _: None) -> Iterator[Array]:
        """Embeddings of all texts in order, by parts; those on disk are not computed again.

        Args:
            texts: The texts.
            on_progress: Called with the number of finished rows.
        """
        for number, start in enumerate(range(0, len(texts), PART_ROWS)):
            part = texts[start : start + PART_ROWS]
            file = self.folder / f"part-{number:06d}.npy"
            if file.is_file():  # written atomically
                vectors = np.load(file, allow_pickle=False)
                self.resumed += len(part)
            else:
                vectors = self._embed(part, start)
                with replacing(file, durable=True) as partial:
                    np.save(partial, vectors, allow_pickle=False)
            on_progress(start + len(part))
            yield vectors

    def _embed(self, texts: Sequence[str], first: int) -> Array:
        try:
            return self.embedding.embed(texts, self.notes)
        except UsageError as error:
            raise UsageError(f"rows {first} to {first + len(texts) - 1} of those with a text: {error}") from error


@contextmanager
def embedding_parts(target: Path, *, embedding: TextEmbedding, job: dict[str, Any]) -> Iterator[EmbeddingParts]:
    """Opens the parts of a job, locked; removes them when the block ends without an error.

    Args:
        target: Folder of the index.
        embedding: The package.
        job: What identifies the job, plain data; parts of another job are removed.

    Raises:
        UsageError: Another process builds this index.
    """
    folder = target.with_name(f".{target.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"output: {target} is being built by another process; wait for it") from error
        mark = folder / _JOB
        text = json.dumps(job, sort_keys=True)
        if not mark.is_file() or mark.read_text(encoding="utf-8") != text:
            for leftover in folder.iterdir():
                leftover.unlink()
            write_whole(mark, text)
        yield EmbeddingParts(folder, embedding)
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)
