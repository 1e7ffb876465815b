"""Keys and certificates of the client, against a real worker with both."""

from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.serving import Client, RequestRefusedError, UnavailableError
from tests.lightning_app.serving.security.test_exposure import certificate
from tests.lightning_app.serving.server import running_worker
from tests.packages import COLUMNS, small_package

ROWS = [dict.fromkeys(COLUMNS, 0.5)]


def test_keys_scopes_budgets_and_certificates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "add", "keys.yaml", "--id", "web", "--scopes", "predict", "--rows-per-day", "2"]) == 0
    key = capsys.readouterr().out.split()[0]
    cert, private = certificate(tmp_path)
    config = {"keys": str(Path("keys.yaml").resolve()), "tls_cert": cert, "tls_key": private}
    with running_worker(tmp_path / "worker", [("mlp", small_package(tmp_path / "mlp"))], config=config) as worker:
        check(worker.address.replace("http://", "https://"), key)


def check(address: str, key: str) -> None:
    with Client(address, key=key, ca_file="cert.pem") as client:
        assert len(client.predict(ROWS * 2).predictions) == 2
        with pytest.raises(RequestRefusedError) as refused:
            client.feedback("some-id", reward=1.0)
        assert (refused.value.status, refused.value.code) == (403, "scope_missing")
        with pytest.raises(UnavailableError) as spent:
            client.predict(ROWS)
        assert (spent.value.status, spent.value.code, spent.value.attempts) == (429, "budget_exceeded", 1)
    with Client(address, key="web.wrong", ca_file="cert.pem") as client, pytest.raises(RequestRefusedError) as refused:
        client.predict(ROWS)
    assert refused.value.status == 401
    with Client(address) as client, pytest.raises(UnavailableError, match="certificate") as untrusted:
        client.predict(ROWS)
    assert untrusted.value.attempts == 1  # it will not be trusted a moment later either
