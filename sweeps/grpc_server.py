"""`python -m sweeps.grpc_server --storage URL --port 13000`: one server in front of a data base, for many hosts.

Hosts need no driver and no password then, and much less time of their processors: `--storage grpc://host:13000`.
It has no password of its own, and is for a network that can be trusted.
"""

import argparse
import signal
import sys
import warnings
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning

from lightning_app.errors import describe, exit_code
from sweeps.storage import open_storage


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
    print(f"serving {given.host}:{given.port}", flush=True)  # noqa: T201
    try:
        optuna.storages.run_grpc_proxy_server(storage, host=given.host, port=given.port)
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
