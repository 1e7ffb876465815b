"""A PostgreSQL server of a test's own, from Debian's binaries."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest


def _binary(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


needs_postgres = pytest.mark.skipif(
    None in (_binary("initdb"), _binary("postgres"), find_spec("psycopg")),
    reason="needs the binaries of PostgreSQL (initdb, postgres) and psycopg",
)


@contextmanager
def postgres() -> Iterator[str]:
    """Starts a server on a free port of the loopback; gives the URL of an empty data base."""
    # It refuses to run as root.
    who: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if who:
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    initdb, server = str(_binary("initdb")), str(_binary("postgres"))
    data = str(folder / "data")
    make = [initdb, "-D", data, "-A", "trust", "-U", "sweep", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd="/", **who)
    settings = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-k", str(folder), "-p", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, "-D", data, *settings], stderr=log, stdout=log, cwd="/", **who)
    try:
        _wait(port)
        yield f"postgresql://sweep@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # ends its connections too
        process.wait(timeout=30)
        shutil.rmtree(folder)


def _wait(port: int) -> None:
    import psycopg

    for _ in range(300):
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=sweep dbname=postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server does not come up")
