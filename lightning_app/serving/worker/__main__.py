"""Worker process of a server: `python -m lightning_app.serving.worker`, started by the supervisor."""

import argparse
import sys
from pathlib import Path

from lightning_app.serving.worker.worker import run_worker


def main() -> None:
    """Runs a worker; its arguments are those that the supervisor gives."""
    parser = argparse.ArgumentParser(prog="lightning_app.serving.worker", description=__doc__, allow_abbrev=False)
    parser.add_argument("--folder", type=Path, required=True, help="runtime folder of the server")
    parser.add_argument("--fd", type=int, required=True, help="socket that is listened on")
    parser.add_argument("--grpc-fd", type=int, help="socket of gRPC; none without")
    parser.add_argument("--control-in", type=int, required=True, help="pipe of commands")
    parser.add_argument("--control-out", type=int, required=True, help="pipe of events")
    parser.add_argument("--number", type=int, default=0, help="number of the worker, from 0")
    arguments = parser.parse_args()
    sys.exit(
        run_worker(
            folder=arguments.folder,
            fd=arguments.fd,
            grpc_fd=arguments.grpc_fd,
            control_in=arguments.control_in,
            control_out=arguments.control_out,
            number=arguments.number,
        )
    )


if __name__ == "__main__":
    main()
