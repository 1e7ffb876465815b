"""`python -m sweeps.grpc_server --storage URL --port 13000`: a server in front of a database, for many hosts.

Hosts need no driver and no password then, and much less time of their processors: `--storage grpc://host:13000`.
It has no password of its own, and is for a network that can be trusted.
"""

import argparse
import signal
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage

from lightning_app.errors import describe, exit_code
from sweeps.storage.claims import METADATA, storage_beside
from sweeps.storage.study_storage import open_storage


def main(args: list[str]) -> int:
    """Serves until it is ended.

    Args:
        args: The command line.

    Returns:
        Exit code: 2 for a wrong URL, 1 for a data base that cannot be reached.
    """
    parser = argparse.ArgumentParser(prog="python -m sweeps.grpc_server", description=__doc__)
    parser.add_argument("--storage", required=True, help="URL of the storage behind it")
    parser.add_argument("--host", default="localhost", help="address to listen on; 0.0.0.0 for all of the machine's")
    parser.add_argument("--port", type=int, default=13000)
    given = parser.parse_args(args)
    try:
        storage = open_storage(given.storage, Path())
    except (ValueError, OSError) as error:
        print(f"error: {describe(error)}", file=sys.stderr)  # noqa: T201
        return exit_code(error)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    warnings.simplefilter("ignore", ExperimentalWarning)
    server = _server(storage, storage_beside(storage))
    server.add_insecure_port(f"{given.host}:{given.port}")
    server.start()
    print(f"serving {given.host}:{given.port}", flush=True)  # noqa: T201
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        return 0
    return 0


def _server(studies: BaseStorage, claims: BaseStorage) -> Any:
    """One server in front of two storages: calls that are marked go to that of the claims."""
    import grpc  # type: ignore[import-untyped]
    from optuna.storages._grpc.auto_generated.api_pb2_grpc import add_StorageServiceServicer_to_server
    from optuna.storages._grpc.servicer import OptunaStorageProxyService

    class Handlers:
        """What a server is told of the calls that it can answer."""

        def __init__(self) -> None:
            self.handlers: list[Any] = []

        def add_generic_rpc_handlers(self, handlers: Any) -> None:
            self.handlers += handlers

        def add_registered_method_handlers(self, name: str, handlers: Any) -> None:
            """The same again, in another form."""

    of_claims = Handlers()
    add_StorageServiceServicer_to_server(OptunaStorageProxyService(claims), of_claims)

    class ByMark(grpc.ServerInterceptor):  # type: ignore[misc]
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            if METADATA not in [tuple(item) for item in details.invocation_metadata]:
                return continuation(details)
            found = (handler.service(details) for handler in of_claims.handlers)
            return next((handler for handler in found if handler is not None), None)

    server = grpc.server(ThreadPoolExecutor(max_workers=10), interceptors=[ByMark()])
    add_StorageServiceServicer_to_server(OptunaStorageProxyService(studies), server)
    return server


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
