"""Store of snapshots: the layout and the operations that a local folder and an S3-compatible address share.

blobs/3f/3f2a....csv       content of a file, named by its sha256
snapshots/ID.json          manifest, written after all its blobs
names/NAME/000001.json     id of the first snapshot of that name, then of the second, ...
"""

import json
import re
import unicodedata
from abc import ABC, abstractmethod
from pathlib import Path
from urllib.parse import quote, unquote

from features.versions.manifest import FileEntry, Manifest, decode_manifest, encode_manifest

_SHORTEST_PREFIX = 6
_HEX = re.compile(r"[0-9a-f]{6,64}")
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8})?\.[a-z0-9]{1,8}$")


class Store(ABC):
    """Content-addressed store: what is written is never changed.

    Args:
        address: Folder or URL, for messages and lineage.
    """

    def __init__(self, *, address: str) -> None:
        self.address = address

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """Content of a small object; None if there is none."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Writes a small object atomically; False, and nothing is written, if it exists."""

    @abstractmethod
    def keys(self, prefix: str) -> list[str]:
        """Keys below a prefix that ends with `/`, sorted."""

    @abstractmethod
    def put_file(self, file: Path, entry: FileEntry) -> bool:
        """Stores the content of a file atomically; False if it is there.

        Args:
            file: Local file.
            entry: Its checksum and size, which the copy is compared with.

        Raises:
            ValueError: The file changed while it was copied.
        """

    @abstractmethod
    def local_file(self, entry: FileEntry) -> Path:
        """Local file with the content of an entry, verified against its checksum.

        Raises:
            ValueError: The content was changed.
            FileNotFoundError: It is missing.
        """

    def add(self, manifest: Manifest) -> bool:
        """Writes a manifest; False if it exists."""
        return self.create(f"snapshots/{manifest.id}.json", encode_manifest(manifest))

    def name(self, name: str, snapshot: str) -> int:
        """Gives a snapshot a name, and returns its number under it; nothing is written if it is the newest one.

        Args:
            name: See `check_name`.
            snapshot: Its id.
        """
        while True:
            known = self.named(name)
            if known and known[-1] == snapshot:
                return len(known)
            if self.create(f"names/{_quoted(name)}/{len(known) + 1:06}.json", json.dumps({"id": snapshot}).encode()):
                return len(known) + 1

    def names(self) -> dict[str, list[str]]:
        """Ids of the snapshots of each name, oldest first."""
        found = dict.fromkeys(unquote(key.split("/")[1]) for key in self.keys("names/"))
        return {name: self.named(name) for name in found}

    def named(self, name: str) -> list[str]:
        """Ids of the snapshots of a name, oldest first."""
        keys = self.keys(f"names/{_quoted(name)}/")
        return [str(json.loads(self.read(key) or b"{}")["id"]) for key in keys]

    def ids(self) -> list[str]:
        """Ids of all snapshots, sorted."""
        return [key.split("/")[1].removesuffix(".json") for key in self.keys("snapshots/")]

    def manifest(self, reference: str) -> Manifest:
        """Manifest of a snapshot.

        Args:
            reference: `NAME` (the newest of that name), `NAME@ID`, or `ID`; an id may be cut to 6 or more digits.

        Raises:
            ValueError: There is none, or several.
        """
        snapshot = self.find(reference)
        where = f"{self.address}/snapshots/{snapshot}.json"
        data = self.read(f"snapshots/{snapshot}.json")
        if data is None:
            raise ValueError(f"snapshot {reference!r}: {where} does not exist")
        manifest = decode_manifest(data, where=where)
        if manifest.id != snapshot:
            raise ValueError(f"{where} holds the snapshot {manifest.id[:12]}; the file was renamed")
        return manifest

    def find(self, reference: str) -> str:
        """Full id of a snapshot; see `manifest`."""
        name, at, prefix = reference.rpartition("@")
        if not prefix or (at and not name):
            raise ValueError(f"snapshot {reference!r}: write NAME, NAME@ID or ID")
        if not at:
            if known := self.named(reference):
                return known[-1]
            name, prefix = "", reference
        if not _HEX.fullmatch(prefix):
            names = ", ".join(self.names()) or "none"
            hint = f"an id has {_SHORTEST_PREFIX} to 64 hexadecimal digits" if at else f"its names are: {names}"
            raise ValueError(f"snapshot {reference!r}: not in {self.address}; {hint}")
        candidates = list(dict.fromkeys(self.named(name))) if name else self.ids()
        matching = [known for known in candidates if known.startswith(prefix)]
        if len(matching) != 1:
            there = ", ".join(known[:12] for known in (matching or candidates)[-5:]) or "none"
            what = f"{len(matching)} ids begin with {prefix!r}" if matching else "not"
            of_name = f" under the name {name!r}" if name else ""
            raise ValueError(f"snapshot {reference!r}: {what} in {self.address}{of_name}; there: {there}")
        return matching[0]


def check_name(name: str) -> str:
    """A name of snapshots in Unicode normal form C.

    Raises:
        ValueError: It is empty or too long, or has a character that references are parted by.
    """
    normal = unicodedata.normalize("NFC", name)
    if not normal.strip() or normal != normal.strip() or any(mark in normal for mark in "/@:\\"):
        raise ValueError(f"name {name!r}: a name of snapshots is not empty and has no / @ : \\ and no spaces around it")
    if not normal.isprintable() or normal.startswith(".") or len(_quoted(normal)) > 200:
        raise ValueError(f"name {name!r}: a name is printable, does not begin with a dot and is at most 200 bytes long")
    return normal


def blob_key(entry: FileEntry) -> str:
    """Key of a file's content; it keeps the suffix, by which readers know the format."""
    suffix = _SUFFIX.search(entry.path.rpartition("/")[2].lower())
    return f"blobs/{entry.sha256[:2]}/{entry.sha256}{suffix.group() if suffix else ''}"


def changed_content(where: str, entry: FileEntry, actual: str) -> ValueError:
    """Error of a blob whose bytes are not those of its snapshot."""
    return ValueError(
        f"{where} was changed: sha256 {actual[:12]}, the snapshot's {entry.path!r} has {entry.sha256[:12]}; delete it "
        "and take the snapshot again from the original, or restore it from a copy"
    )


def _quoted(name: str) -> str:
    return quote(unicodedata.normalize("NFC", name), safe="")
