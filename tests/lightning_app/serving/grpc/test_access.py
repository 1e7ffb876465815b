"""Who may ask: API keys, their rates and budgets, TLS."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from lightning_app.serving.grpc import messages
from lightning_app.serving.security.keys_command import add
from tests.lightning_app.serving.grpc.grpc_calls import SERVICE, Calls, calls_of, infer_request, refused
from tests.lightning_app.serving.security.test_exposure import certificate
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.lightning_app.serving.v2.test_infer import X

REQUEST = infer_request("price", {"features": X})


def new_key(path: Path, name: str, *words: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        add(["add", str(path), "--id", name, *words])
    return printed.getvalue().split()[-1]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("keys") / "keys.yaml"
    names = {
        "all": ("--scopes", "predict"),
        "feedback": ("--scopes", "feedback"),
        "other": ("--scopes", "predict", "--models", "classes"),
        "slow": ("--scopes", "predict", "--rate", "0.001", "--burst", "2"),
        "few": ("--scopes", "predict", "--rows-per-day", "4"),
    }
    return {"file": str(path)} | {name: new_key(path, name, *words) for name, words in names.items()}


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path], keys: dict[str, str]
) -> Iterator[RunningWorker]:
    models = [(name, packages[name]) for name in ("price", "classes")]
    config = {"grpc_port": 0, "keys": keys["file"]}
    with running_worker(tmp_path_factory.mktemp("guarded"), models, config=config) as running:
        yield running


def with_key(key: str) -> Any:
    return (("authorization", f"Bearer {key}"),)


def test_a_key_is_needed_for_what_it_is_needed_for_over_http(guarded: RunningWorker, keys: dict[str, str]) -> None:
    ready = messages.ModelReadyRequest(name="price")
    with calls_of(guarded) as calls:
        for method in ("ServerLive", "ServerReady", "ServerMetadata", "/grpc.health.v1.Health/Check"):
            calls.unary(method)
        for metadata in (with_key(keys["all"]), (("x-api-key", keys["all"]),)):
            calls.infer(REQUEST, metadata=metadata)
            calls.unary("ModelReady", ready, metadata=metadata)
        cases = {
            (): ("UNAUTHENTICATED", "KEY_MISSING"),
            with_key("all.wrong"): ("UNAUTHENTICATED", "KEY_INVALID"),
            with_key(keys["feedback"]): ("PERMISSION_DENIED", "SCOPE_MISSING"),
            with_key(keys["other"]): ("PERMISSION_DENIED", "MODEL_NOT_ALLOWED"),
        }
        for metadata, (code, reason) in cases.items():
            for call in (
                lambda metadata=metadata: calls.infer(REQUEST, metadata=metadata),
                lambda metadata=metadata: calls.unary("ModelReady", ready, metadata=metadata),
            ):
                found, _, facts = refused(call)
                detail = messages.RpcStatus.FromString(facts["grpc-status-details-bin"]).details[0]
                assert (found, messages.ErrorInfo.FromString(detail.value).reason) == (code, reason)
        assert refused(lambda: list(calls.stream([REQUEST])))[0] == "UNAUTHENTICATED"
        (answer,) = calls.stream([REQUEST], metadata=with_key(keys["other"]))
        assert answer.error_message == "the API key other may not ask this model"


def test_nothing_is_read_of_a_client_without_a_key(guarded: RunningWorker) -> None:
    with calls_of(guarded) as calls:

        def endless() -> Iterator[bytes]:
            while True:
                yield bytes(2**20)

        call = calls.channel.stream_unary(f"{SERVICE}ModelInfer")
        assert refused(lambda: call(endless(), timeout=30))[0] == "UNAUTHENTICATED"


def test_rates_and_budgets_say_when_to_come_back(guarded: RunningWorker, keys: dict[str, str]) -> None:
    with calls_of(guarded) as calls:
        for _ in range(2):
            calls.infer(REQUEST, metadata=with_key(keys["slow"]))
        code, _, facts = refused(lambda: calls.infer(REQUEST, metadata=with_key(keys["slow"])))
        assert code == "RESOURCE_EXHAUSTED"
        of = messages.RpcStatus.FromString(facts["grpc-status-details-bin"]).details[1]
        assert messages.RetryInfo.FromString(of.value).retry_delay.seconds > 100
        assert int(facts["grpc-retry-pushback-ms"]) > 100_000
        assert int(facts["retry-after"]) > 100
        calls.infer(REQUEST, metadata=with_key(keys["few"]))
        code, details, _ = refused(lambda: calls.infer(REQUEST, metadata=with_key(keys["few"])))
        assert code == "RESOURCE_EXHAUSTED"
        assert "rows" in details


def test_tls_is_spoken_with_the_certificate_of_the_server(tmp_path: Path, packages: dict[str, Path]) -> None:
    cert, key = certificate(tmp_path)
    config = {"grpc_port": 0, "tls_cert": cert, "tls_key": key}
    with running_worker(tmp_path / "w", [("price", packages["price"])], config=config) as worker:
        assert worker.grpc_address is not None
        credentials = grpc.ssl_channel_credentials(Path(cert).read_bytes())
        with grpc.secure_channel(worker.grpc_address, credentials) as channel:
            assert Calls(channel).infer(REQUEST)[0].outputs
        with calls_of(worker) as calls:
            assert refused(lambda: calls.infer(REQUEST))[0] == "UNAVAILABLE"
