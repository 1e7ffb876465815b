"""Raw data files: from a local folder, a public URL, or an installed package."""

import hashlib
import importlib.util
import os
import secrets
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from features.delta_table import delta_facts, is_delta

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class RawFile:
    """A published file.

    Attributes:
        path: Path below the data root, e.g. `ett/ETTh1.csv`.
        url: Public URL.
        sha256: Checksum of its bytes, in hexadecimal; None if this project has no verified copy. Such a file is never
            downloaded, because the download could not be verified: the user places and vouches for it, and its
            checksum goes into the data's fingerprint, so that results can be compared.
    """

    path: str
    url: str
    sha256: str | None


def data_root(root: str | Path | None) -> Path:
    """Folder of raw files: `root`, else `$LIGHTNING_APP_DATA`, else `./data`."""
    return Path(root or os.environ.get("LIGHTNING_APP_DATA") or "data").expanduser()


def fetch(raw: RawFile, *, root: str | Path | None = None) -> Path:
    """Locates a published file below the data root, or downloads it there if its checksum is known.

    Args:
        raw: The file.
        root: The data root, see `data_root`.

    Returns:
        Path of a file whose checksum is verified or unknown.

    Raises:
        ValueError: The checksum does not match.
        FileNotFoundError: The file is missing and cannot be downloaded.
    """
    path = data_root(root) / raw.path
    if not path.exists():
        _download(raw, path)
    if raw.sha256 is None:
        return path
    digest = sha256_of(path)
    if digest != raw.sha256:
        raise ValueError(
            f"{path} has sha256 {digest}, but the published file has {raw.sha256}. "
            f"Delete it to download it again, or put the original there ({raw.url})."
        )
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of the list of files of a Delta table at its version, in hexadecimal."""
    if is_delta(path):
        return str(delta_facts(path)["sha256"])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packaged_file(package: str, path: str, *, extra: str) -> Path:
    """Path of a data file inside an installed package, located without importing the package.

    Args:
        package: Import name of the package.
        path: Path of the file below the package's folder.
        extra: Extra of this project that installs the package.

    Raises:
        FileNotFoundError: The package or the file is missing.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"The series travels inside the package {package!r}, which is not installed: "
            f"pip install 'lightning-r2p[{extra}]'"
        )
    file = Path(spec.origin).parent / path
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: this version of {package!r} does not carry the series.")
    return file


def _download(raw: RawFile, path: Path) -> None:
    """Downloads to a temporary name, verifies the checksum, then renames: an existing file is always complete."""
    advice = f"Download {raw.url} and put it at {path}, or point data.root or $LIGHTNING_APP_DATA at the folder."
    if raw.sha256 is None:
        raise FileNotFoundError(
            f"{path} does not exist, and is not downloaded because this project knows no checksum of it. {advice}"
        )
    digest = hashlib.sha256()
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(raw.url, timeout=_TIMEOUT_SECONDS) as response, partial.open("xb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != raw.sha256:
            raise ValueError(
                f"{raw.url} answered with sha256 {digest.hexdigest()}, expected {raw.sha256}: "
                f"the file has changed or was cut short. Nothing was stored. {advice}"
            )
        partial.replace(path)
    except OSError as error:  # URLError and timeouts are OSErrors
        raise FileNotFoundError(f"{path} does not exist and could not be downloaded ({error}). {advice}") from error
    finally:
        partial.unlink(missing_ok=True)
