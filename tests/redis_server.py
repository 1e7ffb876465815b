"""A Redis server of a test's own."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

needs_redis = pytest.mark.skipif(
    None in (shutil.which("redis-server"), find_spec("redis")), reason="needs redis-server and the package redis"
)


@contextmanager
def redis_server(*options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Starts a server on a free port of the loopback; gives its URL and its process."""
    import redis

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options]
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(port=port)
            for _ in range(300):
                try:
                    client.ping()
                    break
                except redis.BusyLoadingError:
                    time.sleep(0.1)
                except redis.ConnectionError:
                    time.sleep(0.1)
                except redis.AuthenticationError:
                    break
            yield f"redis://127.0.0.1:{port}/0", process
        finally:
            process.kill()
            process.wait(timeout=30)
