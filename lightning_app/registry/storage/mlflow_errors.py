"""MLflow errors, translated to the errors of the registry."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_app.errors import UsageError
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.errors import RegistryUnreachableError

_DATABASE_ERROR = re.compile(r"\((?:sqlite3|psycopg\w*|pymysql|pyodbc)\.\w+\)\s*(?P<reason>.*)", re.DOTALL)


@contextmanager
def translated(address: RegistryAddress) -> Iterator[None]:
    """Translates MLflow's errors inside the block where ours are clearer.

    Args:
        address: Address of the registry.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        text = str(error)
        if "Max retries exceeded" in text or "Connection" in text:
            raise RegistryUnreachableError(f"the registry at {address.title} does not answer") from error
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise UsageError(f"registry: {text.removeprefix('RESOURCE_DOES_NOT_EXIST: ')}") from error
        if "out-of-date database schema" in text:
            raise UsageError(
                f"registry: {address.title} was made by an older MLflow; make a copy of it, then run: "
                f"mlflow db upgrade {address.title}"
            ) from error
        if (database_error := _of_database(text, address)) is not None:
            raise database_error from error
        raise
    except Exception as error:
        is_of_database = type(error).__module__.startswith("sqlalchemy.")
        if is_of_database and (database_error := _of_database(str(error), address)) is not None:
            raise database_error from error
        raise


def _of_database(text: str, address: RegistryAddress) -> Exception | None:
    """Error for what a database driver reports, without the SQL statement."""
    match = _DATABASE_ERROR.search(text)
    if match is None:
        return None
    reason = " ".join(match["reason"].split("[SQL:")[0].split("(Background on")[0].split())
    if "readonly" in reason or "read-only" in reason:
        return UsageError(f"registry: {address.title} cannot be written, it or its folder is read-only: {reason}")
    if "not a database" in reason:
        return UsageError(f"registry: {address.title} is no database of a registry: {reason}")
    return RegistryUnreachableError(f"the registry at {address.title} cannot be used: {reason}")
