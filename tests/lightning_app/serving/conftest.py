from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lightning_app.serving.journal.records import empty_database
from tests.postgres import needs_postgres, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server for all tests of the journal."""
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a journal that does not exist yet, in each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    return empty_database(request.getfixturevalue("postgres_server"))
