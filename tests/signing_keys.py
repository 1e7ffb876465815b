"""Keys that sign packages in tests."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def signing_keys(folder: Path, name: str = "key", *, password: bytes | None = None) -> tuple[str, str]:
    """Writes a private key of P-256 and its public key.

    Args:
        folder: Where to.
        name: Of the files.
        password: Encrypts the private key.
    """
    return _write(folder, name, ec.generate_private_key(ec.SECP256R1()), password)


def rsa_keys(folder: Path) -> tuple[str, str]:
    """Keys of a kind that signs no packages."""
    return _write(folder, "rsa", rsa.generate_private_key(65537, 2048), None)


def _write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None
) -> tuple[str, str]:
    pem = serialization.Encoding.PEM
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return str(private), str(public)
