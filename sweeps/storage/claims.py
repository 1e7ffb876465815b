"""Claims on trials, stored beside the studies in a separate storage, where Optuna's own tools do not list them.

Claims need a storage that numbers entries in one order for all processes, as Optuna's storages number trials. In the
storage of the study itself, a second study would break `optuna.load_study(study_name=None)`.
"""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from typing_extensions import override

from lightning_app.errors import UsageError
from sweeps.storage.journal_file import JournalFile

SUFFIX = ".claims"
METADATA = ("sweep-storage", "claims")
"""What calls to a gRPC server carry that are about claims."""


def claims_of(study: optuna.Study) -> optuna.Study:
    """The log of the claims on the trials of a study; each claim is a finished trial of the log.

    An old study with its claims in its own storage keeps them there.

    Args:
        study: The study.

    Raises:
        UsageError: The storage cannot keep claims, or holds those of another study of the same name.
    """
    name, storage = f"{study.study_name}{SUFFIX}", study._storage
    with suppress(KeyError):
        storage.get_study_id_from_name(name)
        return _open(storage, name)
    beside = storage_beside(storage)
    # Without the id, a study that is made anew under an old name would find the claims of the old one.
    claims = _open(beside, name if beside is storage else f"{study.study_name}.{study._study_id}{SUFFIX}")
    # In this order: a claim is made after its trial.
    if claims.get_trials(deepcopy=False) and not study.get_trials(deepcopy=False):
        raise UsageError(
            f"study: {study.study_name!r} has no trials, but claims of an older study of that name are left in "
            f"{_place(beside)}; remove them, or give another --study"
        )
    return claims


def storage_beside(storage: BaseStorage) -> BaseStorage:
    """The storage of claims that belongs to a storage of studies.

    Args:
        storage: As returned by `open_storage`; an in-memory storage keeps its claims itself.

    Raises:
        UsageError: The database refuses to create it.
    """
    if isinstance(storage, JournalStorage) and isinstance(storage._backend, JournalFile):
        return JournalStorage(JournalFile(f"{storage._backend.path}{SUFFIX}"))
    if isinstance(storage, GrpcStorageProxy):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return _ClaimsProxy(host=storage._host, port=storage._port)
    backend = storage._backend if isinstance(storage, _CachedStorage) else storage
    if isinstance(backend, RDBStorage):
        if backend.engine.dialect.name == "sqlite" and (file := backend.engine.url.database):
            return JournalStorage(JournalFile(f"{file}{SUFFIX}"))
        if backend.engine.dialect.name == "postgresql":
            return _in_own_schema(backend)
    return storage


class _ClaimsProxy(GrpcStorageProxy):
    """The storage of claims behind a `sweeps.grpc_server`; behind any other server, that of the studies."""

    @override
    def _setup(self) -> None:
        import grpc  # type: ignore[import-untyped]
        from optuna.storages._grpc.auto_generated import api_pb2_grpc
        from optuna.storages._grpc.client import GrpcClientCache, create_insecure_channel

        class Marked(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
            def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
                return continuation(details._replace(metadata=[*(details.metadata or ()), METADATA]), request)

        self._channel = grpc.intercept_channel(create_insecure_channel(self._host, self._port), Marked())
        self._stub = api_pb2_grpc.StorageServiceStub(self._channel)
        self._cache = GrpcClientCache(self._stub)


def _in_own_schema(backend: RDBStorage) -> BaseStorage:
    import sqlalchemy

    with backend.engine.connect() as connection:
        studies = connection.execute(sqlalchemy.text("SELECT current_schema()")).scalar_one()
        schema = f"{studies}_sweep_claims"
        quoted = connection.dialect.identifier_preparer.quote(schema)
        # Two that make it, or its tables, at once get in each other's way; the lock ends with the connection.
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": schema})
        try:
            # Where it exists already, nobody needs the right to make one.
            known = sqlalchemy.text("SELECT count(*) FROM pg_namespace WHERE nspname = :name")
            if not connection.execute(known, {"name": schema}).scalar_one():
                connection.execute(sqlalchemy.text(f"CREATE SCHEMA {quoted}"))
            connection.commit()
        except sqlalchemy.exc.ProgrammingError as error:
            url = backend.engine.url
            raise UsageError(
                f"storage: {url.username} may not make the schema {schema}, where claims on trials are kept; let it be "
                f'made: GRANT CREATE ON DATABASE "{url.database}" TO "{url.username}"'
            ) from error
        options = dict(backend.engine_kwargs)
        options["connect_args"] = {**options.get("connect_args", {}), "options": f"-csearch_path={quoted}"}
        found = optuna.storages.get_storage(RDBStorage(backend.url, engine_kwargs=options))
        connection.detach()  # closed, and not given back with its lock
    return found


def _open(storage: BaseStorage, name: str) -> optuna.Study:
    # Only the one that creates it needs a direction, and there is nothing to optimise.
    return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)


def _place(storage: BaseStorage) -> str:
    if isinstance(storage, JournalStorage) and isinstance(storage._backend, JournalFile):
        return str(Path(storage._backend.path))
    return "its data base"
