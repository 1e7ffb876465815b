"""Alias reader: which version an alias points to, asked cheaply and often; imports no MLflow.

A question costs one query of a sqlite file (opened read-only), one request to an MLflow server, or one query of a
PostgreSQL database. Importing MLflow would cost more CPU than a day of such questions.
"""

import base64
import http.client
import json
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.errors import RegistryUnreachableError

Alias = tuple[str, str]
"""Name of a model, and one of its aliases."""
_Pair = TypeVar("_Pair", tuple[str, str], tuple[str, int])
_ALIASED = "SELECT version FROM registered_model_aliases WHERE name = {0} AND alias = {0}"
_VERSION = (
    "SELECT version FROM model_versions WHERE name = {0} AND version = {0} AND current_stage <> 'Deleted_Internal'"
)
_API = "api/2.0/mlflow"


class AliasReader:
    """Reads aliases of one registry.

    Args:
        address: Address of the registry.
        timeout: Seconds that the registry has to answer.
    """

    def __init__(self, address: RegistryAddress, *, timeout: float = 5.0) -> None:
        self._address = address
        self._timeout = timeout

    @property
    def is_cheap(self) -> bool:
        """Whether this registry can be asked without MLflow: sqlite, an MLflow server, PostgreSQL with psycopg."""
        uri = self._address.uri
        if uri.startswith("postgresql"):
            return find_spec("psycopg") is not None
        return self._address.database is not None or uri.startswith("http")

    def read(self, aliases: Iterable[Alias]) -> dict[Alias, int | None]:
        """Versions that aliases point to; None for an alias, or a model, that does not exist.

        Args:
            aliases: What is asked.

        Raises:
            RegistryUnreachableError: The registry does not answer, or answers with an error.
        """
        if self._address.is_server:
            return {
                (name, alias): self._ask("registered-models/alias", name=name, alias=alias) for name, alias in aliases
            }
        return self._query(_ALIASED, list(aliases))

    def has_version(self, name: str, number: int) -> bool:
        """Whether a version exists.

        Args:
            name: Name of the model.
            number: Number of the version.

        Raises:
            RegistryUnreachableError: The registry does not answer, or answers with an error.
        """
        if self._address.is_server:
            return self._ask("model-versions/get", name=name, version=str(number)) is not None
        return self._query(_VERSION, [(name, number)])[name, number] is not None

    def _query(self, query: str, parameters: list[_Pair]) -> dict[_Pair, int | None]:
        """First column of the first row for each pair of parameters."""
        assert self.is_cheap
        if self._address.database is not None:
            return self._from_sqlite(self._address.database, query.format("?"), parameters)
        return self._from_postgresql(query.format("%s"), parameters)

    def _from_sqlite(self, file: Path, query: str, parameters: list[_Pair]) -> dict[_Pair, int | None]:
        if not file.is_file():
            raise RegistryUnreachableError(f"there is no registry at {file}")
        try:
            connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=self._timeout)
            try:
                return {pair: _number(connection.execute(query, pair).fetchone()) for pair in parameters}
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise self._unreachable(error) from error

    def _from_postgresql(self, query: str, parameters: list[_Pair]) -> dict[_Pair, int | None]:
        import psycopg

        scheme, separator, rest = self._address.uri.partition("://")
        address = scheme.split("+")[0] + separator + rest  # without the driver that SQLAlchemy would take
        try:
            with psycopg.connect(address, connect_timeout=int(self._timeout)) as connection:
                return {pair: _number(connection.execute(query.encode(), pair).fetchone()) for pair in parameters}
        except psycopg.Error as error:
            raise self._unreachable(error) from error

    def _ask(self, endpoint: str, **parameters: str) -> int | None:
        """Number of the version that a server answers with; None if there is none."""
        assert self.is_cheap
        request = urllib.request.Request(
            f"{self._address.uri}/{_API}/{endpoint}?{urlencode(parameters)}", headers=_authorization(os.environ)
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                return int(json.load(response)["model_version"]["version"])
        except urllib.error.HTTPError as error:
            if error.code in (400, 404) and _is_missing(error.read()):
                return None
            raise self._unreachable(error) from error
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> RegistryUnreachableError:
        if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
            error = OSError(error.reason)
        reason = " ".join(str(error).split())
        return RegistryUnreachableError(f"the registry at {self._address.title} does not answer: {reason}")


def _authorization(environment: Mapping[str, str]) -> dict[str, str]:
    """Header that MLflow itself would send."""
    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := environment.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{environment.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _is_missing(body: bytes) -> bool:
    """Whether a server says that there is no such model or alias; a wrong address is answered with 404 too."""
    try:
        content = json.loads(body)
    except ValueError:
        return False
    code = content.get("error_code") if isinstance(content, dict) else None
    return code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def _number(row: tuple[int, ...] | None) -> int | None:
    return None if row is None else row[0]
