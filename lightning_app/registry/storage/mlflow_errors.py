"""MLflow's errors as ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_app.errors import UsageError
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.errors import RegistryUnreachableError

_DATABASE_ERROR = re.compile(r"\((?:sqlite3|psycopg\w*|pymysql|pyodbc)\.\w+\)\s*(?P<said>.*)", re.DOTALL)


@contextmanager
def translated(address: RegistryAddress) -> Iterator[None]:
    """Raises our errors for MLflow's, where ours say more.

    Args:
        address: Of the registry that is asked.
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
        if (found := _of_database(text, address)) is not None:
            raise found from error
        raise
    except Exception as error:
        is_of_database = type(error).__module__.startswith("sqlalchemy.")
        if is_of_database and (found := _of_database(str(error), address)) is not None:
            raise found from error
        raise


def _of_database(text: str, address: RegistryAddress) -> Exception | None:
    """What a database says of itself, without the statement that it was given."""
    found = _DATABASE_ERROR.search(text)
    if found is None:
        return None
    said = " ".join(found["said"].split("[SQL:")[0].split("(Background on")[0].split())
    if "readonly" in said or "read-only" in said:
        return UsageError(f"registry: {address.title} cannot be written, it or its folder is read-only: {said}")
    if "not a database" in said:
        return UsageError(f"registry: {address.title} is no database of a registry: {said}")
    return RegistryUnreachableError(f"the registry at {address.title} cannot be used: {said}")
