"""Building of an index: embeds a table, or takes its column of embeddings, and writes the folder atomically."""

import secrets
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from lightning_app.atomic_write import replace_folder, sync_file, sync_folder
from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.values import Array
from lightning_app.retrieval.embedding_parts import embedding_parts
from lightning_app.retrieval.faiss_search import FaissSearch, import_faiss
from lightning_app.retrieval.index import Index, normalized
from lightning_app.retrieval.index_folder import (
    EMBEDDINGS,
    HNSW,
    MANIFEST,
    ROWS,
    Engine,
    IndexManifest,
    IndexPackage,
    Metric,
    file_sha256,
)
from lightning_app.retrieval.index_table import IndexTable
from lightning_app.retrieval.text_embedding import TextEmbedding


@dataclass(frozen=True)
class BuiltIndex:
    """What a build did.

    Attributes:
        manifest: Of the index.
        added: Rows that were added.
        missing: Rows of this table without a text, left out.
        resumed: Rows whose embeddings an earlier, killed run had left.
        notes: What the package counted of the texts that were embedded, a line for each kind.
    """

    manifest: IndexManifest
    added: int
    missing: int
    resumed: int
    notes: tuple[str, ...]


def build_index(
    target: Path,
    table: IndexTable,
    *,
    column: str,
    id_column: str | None,
    embedding: TextEmbedding | None,
    metric: Metric = "cosine",
    engine: Engine = "numpy",
    overwrite: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
) -> BuiltIndex:
    """Builds an index; a killed build goes on where it stopped.

    Args:
        target: Folder of the index.
        table: Rows with texts or embeddings.
        column: Column that they come from.
        id_column: Column of the ids.
        embedding: Package that embeds the texts; None if the table has embeddings.
        metric: `cosine` normalises embeddings.
        engine: Engine that searches; `hnsw` is built along.
        overwrite: Replace an index that is there.
        on_progress: Called with the number of embedded rows.

    Raises:
        UsageError: The folder exists, or the package refuses a text.
    """
    check_target(target, overwrite=overwrite)
    if engine != "numpy":
        import_faiss()
    vectors = table.vectors
    size = vectors.shape[1] if vectors is not None else embedding.size if embedding is not None else 0
    manifest = IndexManifest(
        package=None if embedding is None else _package(embedding),
        table=(table.name,),
        column=column,
        id_column=id_column,
        metric=metric,
        engine=engine,
        rows=len(table.rows),
        size=size,
        missing=table.missing,
        files={},
    )
    return _write(target, table, manifest, embedding=embedding, before=None, on_progress=on_progress)


def add_to_index(
    folder: Path,
    table: IndexTable,
    *,
    package: str | Path | None = None,
    num_threads: int = 1,
    on_progress: Callable[[int], None] = lambda _: None,
) -> BuiltIndex:
    """Adds rows to an index; the folder is replaced as a whole.

    Args:
        folder: Folder of the index.
        table: Rows of further ids, read with the columns of the index.
        package: Folder of the package; None for where it was.
        num_threads: Threads of the package.
        on_progress: Called with the number of embedded rows.

    Raises:
        UsageError: An id is in the index already, or of another type; or the package is another.
    """
    index = Index.load(folder, package=package, num_threads=num_threads)
    before = index.manifest
    if before.id_column is None:
        raise UsageError(f"index: {folder} was built without --id, rows of another table would repeat its row numbers")
    ids, new = index.rows["id"], table.rows["id"]
    if ids.dtype != new.dtype:
        raise UsageError(f"id: {table.name[0]} has ids of {new.dtype}, the index of {ids.dtype}")
    if (known := new.is_in(ids.implode())).any():
        raise UsageError(
            f"id: {known.sum():,} ids of {table.name[0]} are in the index already, e.g. {new.filter(known)[0]!r}"
        )
    if table.vectors is not None and table.vectors.shape[1] != before.size:
        raise UsageError(f"column: embeddings of {table.vectors.shape[1]} numbers, the index has {before.size}")
    manifest = replace(
        before,
        table=(*before.table, table.name),
        rows=before.rows + len(table.rows),
        missing=before.missing + table.missing,
    )
    embedding = None if before.package is None else index.embedding
    return _write(folder, table, manifest, embedding=embedding, before=index, on_progress=on_progress)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raises unless an index can be written to a folder.

    Args:
        target: The folder.
        overwrite: Replace an index that is there.

    Raises:
        UsageError: Something else is there, or an index that may not be replaced.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"output: {target} exists and is no folder; give another path")
    if not target.exists() or not any(target.iterdir()):
        return
    if not (target / MANIFEST).is_file():
        raise UsageError(f"output: {target} exists and is no index; give another path")
    if not overwrite:
        raise UsageError(
            f"output: {target} holds an index; give another path, --overwrite to replace it, or `index add` rows to it"
        )


def _package(embedding: TextEmbedding) -> IndexPackage:
    package = embedding.package
    return IndexPackage(package.manifest.name, package.digest, str(package.path.resolve()))


def _write(
    target: Path,
    table: IndexTable,
    manifest: IndexManifest,
    *,
    embedding: TextEmbedding | None,
    before: Index | None,
    on_progress: Callable[[int], None],
) -> BuiltIndex:
    target = target.resolve()
    if embedding is None:
        assert table.vectors is not None
        done = _replace(target, table, manifest, [table.vectors], before)
        return BuiltIndex(done, len(table.rows), table.missing, 0, ())
    job = {"package": embedding.package.digest, "table": list(table.name), "column": manifest.column}
    with embedding_parts(target, embedding=embedding, job=job) as parts:
        vectors = parts.vectors(table.rows["text"].to_list(), on_progress)
        done = _replace(target, table, manifest, vectors, before)
        return BuiltIndex(done, len(table.rows), table.missing, parts.resumed, tuple(parts.notes.lines()))


def _replace(
    target: Path, table: IndexTable, manifest: IndexManifest, vectors: Iterable[Array], before: Index | None
) -> IndexManifest:
    """Writes all files beside the target, then puts them in its place."""
    _check_unchanged(target, before)
    partial = target.with_name(f".{target.name}.partial-{secrets.token_hex(4)}")
    partial.mkdir(parents=True)
    try:
        rows = table.rows if before is None else pl.concat([before.rows, table.rows])
        rows.write_parquet(partial / ROWS)
        held: Array = np.lib.format.open_memmap(
            partial / EMBEDDINGS, mode="w+", dtype=np.float32, shape=(manifest.rows, manifest.size)
        )
        start = 0
        for part in (*([] if before is None else [before.embeddings]), *vectors):
            held[start : start + len(part)] = normalized(part) if manifest.metric == "cosine" else part
            start += len(part)
        assert start == manifest.rows
        held.flush()  # type: ignore[attr-defined]
        if manifest.engine == "hnsw":
            FaissSearch.of(held, approximate=True).write(partial / HNSW)
        files = sorted(file.name for file in partial.iterdir())
        manifest = replace(manifest, files={name: file_sha256(partial / name) for name in files})
        (partial / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        for file in partial.iterdir():
            sync_file(file)
        sync_folder(partial)
        _check_unchanged(target, before)
        replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _check_unchanged(target: Path, before: Index | None) -> None:
    if before is not None and IndexManifest.of_folder(target) != before.manifest:
        raise UsageError(f"index: {target} was changed by another process meanwhile; run the command again")
