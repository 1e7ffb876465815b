"""Registry address: which MLflow registry to use, and whether it answers."""

import hashlib
import os
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lightning_app.errors import UsageError
from lightning_app.registry.storage.errors import RegistryUnreachableError

DEFAULT = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_DATABASES = ("postgresql", "mysql", "mssql")
_PORTS = {"postgresql": 5432, "mysql": 3306}


@dataclass(frozen=True)
class RegistryAddress:
    """Address of an MLflow registry.

    Attributes:
        uri: URI as MLflow expects it; the path of a sqlite file is absolute.
    """

    uri: str

    @classmethod
    def find(cls, uri: str | None = None) -> "RegistryAddress":
        """Finds the registry to use.

        Args:
            uri: Address; None takes `$MLFLOW_TRACKING_URI`, else `sqlite:///mlflow.db` in the working folder.

        Raises:
            UsageError: MLflow supports no registry at such an address.
        """
        address = (uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT).rstrip("/")
        if address.startswith(_SQLITE):
            path = str(Path(address.removeprefix(_SQLITE)).resolve())
            if odd := set("#?%") & set(path):
                raise UsageError(
                    f"registry: {path} holds {' '.join(sorted(odd))}, which MLflow takes for a part of the address; "
                    "give another folder"
                )
            return cls(_SQLITE + path)
        scheme = urlsplit(address).scheme
        if scheme in ("http", "https", "databricks") or scheme.split("+")[0] in _DATABASES:
            return cls(address)
        raise UsageError(
            f"registry: {address!r} given; sqlite:///FILE, http(s)://HOST:PORT or postgresql://... is needed "
            "(MLFLOW_TRACKING_URI sets it too)"
        )

    @property
    def database(self) -> Path | None:
        """File of a sqlite registry, None for any other."""
        return Path(self.uri.removeprefix(_SQLITE)) if self.uri.startswith(_SQLITE) else None

    @property
    def key(self) -> str:
        """Short hash of the address, for folder names."""
        return hashlib.sha256(self.uri.encode()).hexdigest()[:16]

    @property
    def is_server(self) -> bool:
        """Whether the registry is an MLflow server, not a database."""
        return self.uri.startswith(("http", "databricks"))

    @property
    def title(self) -> str:
        """Address for messages, without a password."""
        parts = urlsplit(self.uri)
        if not parts.password:
            return self.uri
        return self.uri.replace(f":{parts.password}@", ":***@", 1)

    def check(self, timeout: float = 5.0) -> None:
        """Raises unless the registry answers: one request, no retries.

        Args:
            timeout: Seconds that a server has to answer.

        Raises:
            RegistryUnreachableError: The file does not exist, or the server or database does not answer.
        """
        if self.database is not None:
            if not self.database.is_file():
                raise RegistryUnreachableError(f"there is no registry at {self.database}; register a package first")
        elif self.uri.startswith("http"):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=timeout).close()
            except urllib.error.HTTPError:
                return  # something answers; a proxy may block /health
            except OSError as error:
                reason = getattr(error, "reason", error)
                raise RegistryUnreachableError(f"the registry at {self.title} does not answer: {reason}") from error
        elif port := _PORTS.get(urlsplit(self.uri).scheme.split("+")[0]):
            parts = urlsplit(self.uri)
            if not parts.hostname or parts.query or "," in parts.netloc:
                return  # a unix socket, several hosts, or a host in the query: only the driver can resolve it
            try:  # MLflow itself would retry for two minutes
                socket.create_connection((parts.hostname, parts.port or port), timeout).close()
            except OSError as error:
                raise RegistryUnreachableError(f"the registry at {self.title} does not answer: {error}") from error
