"""S3Store: snapshots on an S3-compatible address (extra `s3`)."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from features.versions.local_store import CHUNK_BYTES, LocalStore
from features.versions.manifest import FileEntry
from features.versions.store import Store, blob_key, changed_content

CACHE_VARIABLE = "LIGHTNING_APP_SNAPSHOT_CACHE"
_PART_BYTES = 8 << 20
_SECONDS = timedelta(seconds=20)
_CHANGED = "changed while it was copied; take the snapshot when nothing writes to it"


class S3Store(Store):
    """A store below `s3://bucket/prefix`; blobs that are read are kept in a local cache.

    Endpoint, region and credentials come from `AWS_ENDPOINT_URL`, `AWS_REGION` or `AWS_DEFAULT_REGION`,
    `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. Manifests and names are written with a
    conditional put, so that no writer overwrites another's; a blob is named by its content.

    Args:
        url: The address.
    """

    def __init__(self, url: str) -> None:
        super().__init__(address=url.rstrip("/"))
        try:
            import obstore
            from obstore.store import S3Store as Bucket
        except ModuleNotFoundError as error:
            raise ValueError(f"store {url!r} needs the extra s3: pip install 'lightning-r2p[s3]'") from error
        if not url.removeprefix("s3://").strip("/"):
            raise ValueError(f"store {url!r} names no bucket; write s3://bucket/prefix")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config: Any = {"endpoint": endpoint} if endpoint else {}
        self._obstore = obstore
        self._bucket = Bucket.from_url(
            self.address,
            config=config,
            client_options={"allow_http": (endpoint or "").startswith("http://"), "connect_timeout": _SECONDS},
            retry_config={"max_retries": 4, "retry_timeout": _SECONDS},
        )
        default = Path(tempfile.gettempdir()) / f"lightning-app-snapshots-{os.getuid()}"
        self._cache = LocalStore(Path(os.environ.get(CACHE_VARIABLE) or default).expanduser())

    @override
    def read(self, key: str) -> bytes | None:
        try:
            return bytes(self._obstore.get(self._bucket, key).bytes())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._failed(error) from error
            return None
        except Exception as error:
            raise self._failed(error) from error

    @override
    def create(self, key: str, data: bytes) -> bool:
        try:
            self._obstore.put(self._bucket, key, data, mode="create", use_multipart=False)
        except Exception as error:
            if type(error).__name__ in ("AlreadyExistsError", "PreconditionError"):
                return False
            raise self._failed(error) from error
        return True

    @override
    def keys(self, prefix: str) -> list[str]:
        try:
            pages = self._obstore.list(self._bucket, prefix=prefix)
            return sorted(str(item["path"]) for page in pages for item in page)
        except Exception as error:
            raise self._failed(error) from error

    @override
    def put_file(self, file: Path, entry: FileEntry) -> bool:
        key = blob_key(entry)
        if self._size(key) == entry.bytes:
            return False
        small = entry.bytes <= _PART_BYTES
        content = b"".join(_verified_parts(file, entry)) if small else _verified_parts(file, entry)
        try:
            self._obstore.put(
                self._bucket, key, content, use_multipart=not small, chunk_size=_PART_BYTES, max_concurrency=2
            )
        except Exception as error:
            if _CHANGED in str(error):  # raised by the parts, inside the client
                raise ValueError(f"{file} {_CHANGED}") from error
            raise self._failed(error) from error
        return True

    @override
    def local_file(self, entry: FileEntry) -> Path:
        path = self._cache.folder / blob_key(entry)
        if not path.is_file():
            self._download(entry)
        return self._cache.local_file(entry)

    def _download(self, entry: FileEntry) -> None:
        key, digest = blob_key(entry), hashlib.sha256()
        self._cache.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache.folder, prefix=".") as folder:
            partial = Path(folder) / "content"
            try:
                with partial.open("xb") as copy:
                    for chunk in self._obstore.get(self._bucket, key).stream(min_chunk_size=CHUNK_BYTES):
                        digest.update(chunk)
                        copy.write(chunk)
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f"{self.address}/{key} is missing: content of {entry.path!r} of a snapshot"
                ) from error
            except Exception as error:
                raise self._failed(error) from error
            if digest.hexdigest() != entry.sha256:
                raise changed_content(f"{self.address}/{key}", entry, digest.hexdigest())
            self._cache.put_file(partial, entry)

    def _size(self, key: str) -> int | None:
        try:
            return int(self._obstore.head(self._bucket, key)["size"])
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> Exception:
        """An error of the client in one line; errors of this project and of the local disk stay as they are."""
        of_client = type(error).__module__.startswith("obstore")
        if not of_client and not (isinstance(error, FileNotFoundError) and error.errno is None):
            return error
        if "NoSuchBucket" in str(error):
            return ConnectionError(f"store {self.address}: its bucket does not exist")
        reason = " ".join(str(error).split("\n\nDebug source")[0].split())
        return ConnectionError(
            f"store {self.address}: {reason[:300]}; check AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )


def _verified_parts(file: Path, entry: FileEntry) -> Iterator[bytes]:
    """Parts of a file; the last one only if all of them together have the checksum, else the upload is aborted."""
    digest, held = hashlib.sha256(), b""
    with file.open("rb") as stream:
        while chunk := stream.read(_PART_BYTES):
            digest.update(chunk)
            if held:
                yield held
            held = chunk
    if digest.hexdigest() != entry.sha256:
        raise ValueError(f"{file} {_CHANGED}")
    yield held
