from tests.lightning_app.serving.conftest import journal_url, postgres_server

__all__ = ["journal_url", "postgres_server"]
