"""Access to a running worker: keys, scopes, rates and budgets on its routes, and what errors say."""

import json
import re
import socket
import time

import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.serving.http.guarded_routes import NEEDS
from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.lightning_app.serving.server import running_worker
from tests.packages import COLUMNS, small_package

BODY = {"records": [dict.fromkeys(COLUMNS, 0.5)] * 3}


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "keys.yaml"


@pytest.fixture
def add(key_file, capsys):
    """Makes a key and returns the header with it."""
    return lambda *options: _add(key_file, capsys, *options)


def _add(key_file, capsys, *options):
    assert main(["keys", "add", str(key_file), *options]) == 0
    return {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}


@pytest.fixture(scope="module")
def worker(tmp_path_factory, key_file):
    folder = tmp_path_factory.mktemp("served")
    package = small_package(folder / "package")
    assert main(["keys", "add", str(key_file), "--id", "first"]) == 0
    config = {"keys": str(key_file), "limits": {"body_bytes": 100_000, "body_seconds": 1.0}}
    models = [("small", package), ("other", package), ("lstm", stream_package(folder / "lstm"))]
    with running_worker(folder / "run", models, config=config) as running:
        yield running


def until(condition):
    """Waits until a worker has read the key file again."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_keys_scopes_and_revocation_without_restart(worker, add, key_file):
    predict = add("--id", "web", "--models", "small")
    admin = add("--id", "ops", "--scopes", "admin")
    until(lambda: worker.client.get("/metrics", headers=admin).status_code == 200)
    client = worker.client

    answer = client.post("/models/small/predict", json=BODY, headers=predict)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers
    bare = predict["Authorization"].removeprefix("Bearer ")
    assert client.post("/predict", json=BODY, headers={"X-Api-Key": bare}).status_code == 200

    for status, code, path, headers in (
        (401, "key_missing", "/predict", {}),
        (401, "key_missing", "/predict", {"Authorization": "Basic abc"}),
        (401, "key_invalid", "/predict", {"Authorization": "Bearer web.guess"}),
        (403, "scope_missing", "/predict", admin),
        (403, "model_not_allowed", "/models/other/predict", predict),
        (403, "model_not_allowed", "/models/none/predict", predict),
    ):
        refused = client.post(path, json=BODY, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
        assert refused.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
        assert refused.headers["x-request-id"] == refused.json()["request_id"]

    assert main(["keys", "revoke", str(key_file), "web"]) == 0
    until(lambda: client.post("/predict", json=BODY, headers=predict).status_code == 401)


def test_routes_need_their_scope_and_health_is_open_without_detail(worker, add):
    predict, admin = add("--id", "reader"), add("--id", "root", "--scopes", "admin,predict")
    until(lambda: worker.client.get("/models", headers=admin).status_code == 200)
    client = worker.client
    for path in ("/metrics", "/models", "/models/small"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=admin).status_code == 200
    assert client.get("/models", headers=predict).status_code == 200
    refused = client.get("/metrics", headers=predict)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").json() == {"status": "ready"}
    assert client.get("/health/ready", headers=admin).json()["models"]["small"]["problem"] is None
    assert client.get("/no/such/route").status_code == 404
    counted = client.get("/metrics", headers=admin).text
    assert 'lightning_app_keys_refused_total{reason="missing"} ' in counted
    assert 'lightning_app_keys_refused_total{reason="scope"} ' in counted


def test_a_session_belongs_to_its_key(worker, add):
    one, other = add("--id", "one"), add("--id", "two")
    body = {"columns": {"text": ["abc"]}}
    path = "/models/lstm/predict?session=shared"
    until(lambda: worker.client.post("/predict", json=BODY, headers=other).status_code == 200)
    first, second = (worker.client.post(path, json=body, headers=one).json()["predictions"] for _ in range(2))
    assert first != second  # it goes on from the state of the first
    assert worker.client.post(path, json=body, headers=other).json()["predictions"] == first


def test_feedback_needs_its_own_scope(worker, add):
    predict, feedback = add("--id", "asks"), add("--id", "tells", "--scopes", "feedback")
    body = {"request_id": "a", "outcome": 1.0}
    until(lambda: worker.client.post("/feedback", json=body, headers=feedback).status_code != 401)
    assert worker.client.post("/feedback", json=body, headers=feedback).json()["error"]["code"] == "no_journal"
    assert worker.client.post("/feedback", json=body, headers=predict).status_code == 403
    assert worker.client.post("/feedback", json=body).status_code == 401
    assert worker.client.post("/predict", json=BODY, headers=feedback).status_code == 403


def test_pages_are_open_and_show_nothing_of_the_models_without_a_key(worker, add):
    predict = add("--id", "looks")
    until(lambda: worker.client.get("/openapi.json", headers=predict).status_code == 200)
    for path in ("/", "/docs"):
        page = worker.client.get(path)
        assert page.status_code == 200
        assert "length" not in page.text  # a column of the model
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"<style|<script(?! [^>]*src=)|\son\w+=|\sstyle=", page.text)
    for path in ("/openapi.json", "/page/forms", "/page/docs", "/page/data", "/v2/models/small"):
        assert worker.client.get(path).status_code == 401, path
    assert worker.client.get("/page/data", headers=predict).status_code == 403
    assert worker.client.post("/v2/models/small/infer", json={}).status_code == 401


def test_every_route_has_a_scope_that_was_chosen_for_it(worker, add):
    admin = add("--id", "all", "--scopes", "admin,predict,feedback")
    until(lambda: worker.client.get("/openapi.json", headers=admin).status_code == 200)
    documented = worker.client.get("/openapi.json", headers=admin).json()["paths"]
    addresses = {re.sub(r"^(/v2)?/models/(small|other|lstm)", r"\1/models/{}", address) for address in documented}
    listed = {re.sub(r"\{(name|model)\}", "{}", address) for address in NEEDS}
    assert {re.sub(r"\{(name|model)\}", "{}", address) for address in addresses} <= listed


def test_answers_are_rounded_to_the_digits_of_the_model(tmp_path, worker, add):
    predict = add("--id", "exact")
    until(lambda: worker.client.post("/predict", json=BODY, headers=predict).status_code == 200)
    exact = worker.client.post("/predict", json=BODY, headers=predict).json()["predictions"]
    package = small_package(tmp_path / "package")
    with running_worker(tmp_path / "run", [("small", package)], model_config={"digits": 2}) as rounding:
        rows = rounding.client.post("/predict", json=BODY).json()["predictions"]
        table = rounding.client.post(
            "/predict", json=BODY, headers={"Accept": "application/vnd.apache.arrow.stream"}
        ).content
    for (value,), (precise,) in zip((row.values() for row in rows), (row.values() for row in exact), strict=True):
        assert value == float(f"{precise:.2g}") != precise
    assert pl.read_ipc_stream(table).to_series().to_list() == [value for row in rows for value in row.values()]


def test_rates_and_budgets_answer_429_with_retry_after(worker, add):
    slow = add("--id", "slow", "--rate", "0.5", "--burst", "2")
    until(lambda: worker.client.post("/predict", json=BODY, headers=slow).status_code == 200)
    worker.client.post("/predict", json=BODY, headers=slow)
    refused = worker.client.post("/predict", json=BODY, headers=slow)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    little = add("--id", "little", "--rows-per-day", "4")
    until(lambda: worker.client.post("/predict", json=BODY, headers=little).status_code == 200)
    refused = worker.client.post("/predict", json=BODY, headers=little)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert "1 are left and 3 were sent" in refused.json()["error"]["message"]


def test_a_bad_key_file_keeps_the_keys_and_is_shown_to_admins_without_its_path(worker, add, key_file):
    admin = add("--id", "watch", "--scopes", "admin")
    until(lambda: worker.client.get("/metrics", headers=admin).status_code == 200)
    good = key_file.read_text()
    key_file.write_text("keys: nothing")
    until(lambda: "keys" in worker.client.get("/health/ready", headers=admin).json())
    problem = worker.client.get("/health/ready", headers=admin).json()["keys"]["problem"]
    assert "keys.yaml" in problem
    assert str(key_file.parent) not in problem
    key_file.write_text(good)
    until(lambda: "keys" not in worker.client.get("/health/ready", headers=admin).json())


def test_a_key_file_that_vanishes_lets_in_nobody_else_and_is_taken_when_it_is_back(worker, add, key_file):
    known, gone = add("--id", "kept"), add("--id", "left")
    admin = add("--id", "sees", "--scopes", "admin")
    until(lambda: worker.client.get("/metrics", headers=admin).status_code == 200)
    away = key_file.with_name("away.yaml")
    key_file.rename(away)
    until(lambda: "keys" in worker.client.get("/health/ready", headers=admin).json())
    problem = worker.client.get("/health/ready", headers=admin).json()["keys"]["problem"]
    assert "cannot be read: No such file or directory" in problem
    assert str(key_file.parent) not in problem
    assert worker.client.post("/predict", json=BODY, headers=known).status_code == 200
    stranger = {"Authorization": "Bearer kept.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
    for headers in ({}, stranger, {"Authorization": "Bearer nobody.x"}):
        assert worker.client.post("/predict", json=BODY, headers=headers).status_code == 401
    assert main(["keys", "revoke", str(away), "left"]) == 0
    away.rename(key_file)
    until(lambda: worker.client.post("/predict", json=BODY, headers=gone).status_code == 401)
    assert worker.client.post("/predict", json=BODY, headers=known).status_code == 200
    assert "keys" not in worker.client.get("/health/ready", headers=admin).json()


def test_the_worker_speaks_the_bounded_protocol(worker):
    host, port = worker.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n")
        received = client.recv(10_000)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_large"
