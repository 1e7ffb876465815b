from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.postgres import needs_postgres, postgres
from tests.redis_server import needs_redis, redis_server

KINDS = ["sqlite", pytest.param("redis", marks=needs_redis), pytest.param("postgresql", marks=needs_postgres)]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a data base of PostgreSQL."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis server."""
    with redis_server() as (url, _):
        yield url


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind; servers are shared by tests, which keep to their own namespace."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue(f"{request.param.removesuffix('ql')}_url"))


@pytest.fixture
def namespace() -> str:
    """A namespace of the test's own."""
    return uuid4().hex
