"""Index folder: manifest, rows and embeddings of an index, each file verified by its sha256."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from lightning_app.errors import UsageError

Engine = Literal["numpy", "faiss", "hnsw"]
Metric = Literal["cosine", "dot"]
MANIFEST, ROWS, EMBEDDINGS, HNSW = "index.json", "rows.parquet", "embeddings.npy", "hnsw.faiss"
ENGINES: tuple[Engine, ...] = get_args(Engine)
SCHEMA = 1


@dataclass(frozen=True)
class IndexPackage:
    """Package whose embeddings an index holds.

    Attributes:
        name: Its name.
        digest: sha256 of its manifest.
        path: Where it was when the index was built.
    """

    name: str
    digest: str
    path: str


@dataclass(frozen=True)
class IndexManifest:
    """Description of an index.

    Attributes:
        package: Package of the embeddings; None where they came as a column of the table.
        table: Name and sha256 of each table, in the order in which they were added.
        column: Column of the texts, or of the embeddings.
        id_column: Column of the ids; None for the number of the row.
        metric: `cosine` holds normalised embeddings, `dot` those of the package.
        engine: Engine that searches unless another is named.
        rows: Rows of the index.
        size: Numbers of an embedding.
        missing: Rows of the tables without a text, which the index leaves out.
        files: Name to sha256 of the other files.
        schema_version: Version of this description.
    """

    package: IndexPackage | None
    table: tuple[tuple[str, str], ...]
    column: str
    id_column: str | None
    metric: Metric
    engine: Engine
    rows: int
    size: int
    missing: int
    files: Mapping[str, str]
    schema_version: int = SCHEMA

    def to_json(self) -> str:
        """The manifest as the text of its file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> "IndexManifest":
        """Reads the manifest of a folder, and verifies that its files are there, unchanged.

        Args:
            folder: Folder of the index.

        Raises:
            UsageError: The folder is no index, was written by a newer version, or was changed since.
        """
        manifest = cls.of_folder(folder)
        for name, digest in manifest.files.items():
            if not (folder / name).is_file():
                raise UsageError(f"index: {folder} lacks {name}; build it again")
            if (found := file_sha256(folder / name)) != digest:
                raise UsageError(
                    f"index: {folder / name} has the sha256 {found[:12]}, the manifest says {digest[:12]}; it was "
                    "changed, build the index again"
                )
        return manifest

    @classmethod
    def of_folder(cls, folder: Path) -> "IndexManifest":
        """Reads the manifest of a folder alone.

        Args:
            folder: Folder of the index.

        Raises:
            UsageError: The folder is no index, or was written by a newer version.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise UsageError(
                f"index: {folder} is no index, it has no {MANIFEST}; `lightning-app index build` makes one"
            )
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version = content["schema_version"]
            if version != SCHEMA:
                raise UsageError(
                    f"index: {folder} has schema {version}, this version of lightning-app reads {SCHEMA}; upgrade "
                    "lightning-r2p, or build the index again"
                )
            given = {field.name: content[field.name] for field in fields(cls)}
            package = content["package"]
            given["package"] = None if package is None else IndexPackage(**package)
            given["table"] = tuple((name, digest) for name, digest in content["table"])
            manifest = cls(**given)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"index: {path} is no manifest of an index: {error}") from error
        expected = {ROWS, EMBEDDINGS, *([HNSW] if manifest.engine == "hnsw" else [])}
        if set(manifest.files) != expected or manifest.engine not in ENGINES:
            raise UsageError(f"index: {path} lists {', '.join(manifest.files)}, {', '.join(sorted(expected))} needed")
        return manifest


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
