import pytest


@pytest.fixture
def url(journal_url: str) -> str:
    """Address of a journal that does not exist yet, in each database."""
    return journal_url
