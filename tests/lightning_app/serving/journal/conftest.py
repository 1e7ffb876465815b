from collections.abc import Iterator

import pytest

from tests.postgres import postgres


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server for all tests of the journal."""
    with postgres() as url:
        yield url
