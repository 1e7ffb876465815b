"""Refusals by the server's own store, and tables without rows."""

import pytest

from features.store import StoreError
from lightning_app.packaging import RequestError
from lightning_app.serving.http.bodies import JSON, read_body
from lightning_app.serving.http.errors import HttpError, http_error


def test_an_online_store_that_is_down_is_no_defect_of_the_server() -> None:
    refusal = http_error(StoreError("redis://cache.internal:6379/0 cannot be reached"))
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.retry_after) == (503, "store_down", 1)
    assert "cache.internal" not in refusal.message


def test_clients_are_not_told_where_the_online_store_is() -> None:
    refusal = http_error(RequestError("at: too early; view 'v' in sqlite:////srv/features.db, namespace 'shop'"))
    assert refusal is not None
    assert refusal.message == "at: too early; view 'v' in the online store, namespace 'shop'"


def test_one_of_several_tables_may_have_no_rows() -> None:
    nodes = b'"nodes": {"columns": {"id": ["a", "b"]}}'
    request, _ = read_body(b'{"tables": {%b, "edges": {"columns": {"from": [], "to": []}}}}' % nodes, JSON, max_rows=9)
    assert request.num_rows == 2
    assert request.tables is not None
    assert request.tables["edges"] == {"from": [], "to": []}
    for empty in (b'{"columns": {"from": []}}', b'{"tables": {"edges": {"columns": {"from": []}}}}'):
        with pytest.raises(HttpError, match="no rows"):
            read_body(empty, JSON, max_rows=9)
