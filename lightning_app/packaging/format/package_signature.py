"""Package signature: `signature.json` in the folder of a package, a Sigstore bundle made with an elliptic-curve key.

The signature lists the digest of every other file. It is no file of the manifest, so that signing a package changes
neither its manifest nor its digest; `model_signing verify key` of the model-signing project reads it too.
"""

import base64
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.atomic_write import sync_folder
from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.folder import SIGNATURE, read_folder, read_signature
from lightning_app.packaging.format.manifest import MANIFEST

if TYPE_CHECKING:
    from model_signing import verifying

TRUSTED_KEYS = "LIGHTNING_APP_TRUSTED_KEYS"
"""Environment variable with the trusted public keys, separated as in `PATH`."""
PASSWORD = "LIGHTNING_APP_SIGNING_PASSWORD"
"""Environment variable with the password of an encrypted private key."""


@dataclass(frozen=True)
class VerifiedSignature:
    """A valid signature by a trusted key.

    Attributes:
        digest: Digest of the package that was signed.
        key: File of the public key.
    """

    digest: str
    key: Path


def trusted_keys(given: Sequence[str | Path] | None) -> list[Path]:
    """Public keys that are trusted.

    Args:
        given: Files; None takes those of `$LIGHTNING_APP_TRUSTED_KEYS`, if any.
    """
    if given is not None:
        return [Path(path) for path in given]
    return [Path(path) for path in os.environ.get(TRUSTED_KEYS, "").split(os.pathsep) if path]


def sign_package(folder: str | Path, private_key: str | Path) -> str:
    """Signs a package; an earlier signature is replaced.

    Args:
        folder: Folder of the package.
        private_key: PEM file of a key on the curve P-256, P-384 or P-521; the password of an encrypted one is
            `$LIGHTNING_APP_SIGNING_PASSWORD`.

    Returns:
        Digest of the package.

    Raises:
        PackageError: The folder is no package, or was changed since it was written.
        UsageError: The key cannot be used, or model-signing is not installed.
    """
    folder, private_key = Path(folder), Path(private_key)
    _check_installed()
    from model_signing import hashing, signing

    _, digest, _ = read_folder(folder, keep=())
    password = os.environ.get(PASSWORD)
    try:
        # model-signing 1.1 types the password as text, and passes it to a function that takes bytes alone.
        signer = signing.Config().use_elliptic_key_signer(
            private_key=private_key,
            password=None if password is None else password.encode(),  # type: ignore[arg-type]
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"key: {private_key} cannot be used: {reason}; a private key of P-256, P-384 or P-521 in PEM is needed, "
            f"and ${PASSWORD} if it is encrypted"
        ) from error
    signer.set_hashing_config(hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False))
    # Beside the package, so that it appears in it at once and whole.
    with tempfile.TemporaryDirectory(dir=folder.resolve().parent, prefix=f".{folder.resolve().name}.sign-") as scratch:
        partial = Path(scratch) / SIGNATURE
        signer.sign(folder, partial)
        if _signed_digest(partial.read_bytes()) != digest:
            raise PackageError(f"package: {folder} was replaced by another while it was signed")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(folder / SIGNATURE)
    sync_folder(folder)
    return digest


def verify_signature(folder: str | Path, keys: Sequence[Path]) -> VerifiedSignature:
    """Verifies that one of the trusted keys has signed a package as it is.

    Args:
        folder: Folder of the package.
        keys: PEM files of the trusted public keys, at least one.

    Returns:
        The signature; who loads the package afterwards compares its digest, as the folder may have been replaced.

    Raises:
        PackageError: The package is not signed, signed by another key, or was changed since.
        UsageError: A key cannot be used, or model-signing is not installed.
    """
    assert keys, "nothing is trusted"
    folder = Path(folder)
    verifiers = [(key, _verifier(key)) for key in keys]
    _, digest, _ = read_folder(folder, keep=())
    content = read_signature(folder)
    if content is None:
        raise PackageError(f"package: {folder} is not signed, a trusted key is required: lightning-app package sign")
    reasons = []
    for key, verifier in verifiers:
        with tempfile.TemporaryDirectory() as scratch, redirect_stdout(StringIO()):  # it prints advice
            bundle = Path(scratch) / SIGNATURE
            bundle.write_bytes(content)
            try:
                verifier.verify(folder, bundle)
            except Exception as error:  # malformed bundles raise anything
                reasons.append(f"{key.name}: {_reason(error)}")
                continue
        if _signed_digest(content) == digest:
            return VerifiedSignature(digest, key)
        reasons.append(f"{key.name}: it signs another package")
    raise PackageError(f"package: {folder} has no valid signature by a trusted key ({'; '.join(reasons)})")


def _verifier(key: Path) -> "verifying.Config":
    _check_installed()
    from model_signing import verifying

    try:
        return verifying.Config().use_elliptic_key_verifier(public_key=key)
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"trusted key: {key} cannot be used: {reason}; a public key of P-256, P-384 or P-521 in PEM is needed"
        ) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if text.startswith("Signature mismatch"):
        return "the files are not those that were signed"
    if text.startswith("Key mismatch"):
        return "signed by another key"
    return text[:200] or type(error).__name__


def _signed_digest(bundle: bytes) -> str | None:
    """Digest of the manifest in a bundle, which is that of the package."""
    payload = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    for resource in payload["predicate"]["resources"]:
        if resource["name"] == MANIFEST and resource["algorithm"] == "sha256":
            return str(resource["digest"])
    return None


def _check_installed() -> None:
    if find_spec("model_signing") is None or find_spec("OpenSSL") is None:
        raise UsageError("signatures need model-signing, which is not installed: pip install 'lightning-r2p[signing]'")
