"""MLflow's errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning_app.errors import UsageError
from lightning_app.registry.address import RegistryAddress
from lightning_app.registry.errors import RegistryUnreachableError


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
            raise RegistryUnreachableError(f"the registry at {address.uri} does not answer") from error
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise UsageError(f"registry: {text.removeprefix('RESOURCE_DOES_NOT_EXIST: ')}") from error
        if "out-of-date database schema" in text:
            raise UsageError(
                f"registry: {address.uri} was made by an older MLflow; make a copy of it, then run: "
                f"mlflow db upgrade {address.uri}"
            ) from error
        raise
