"""GrpcServer: the Open Inference Protocol over gRPC in the event loop of a worker."""

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from typing_extensions import override

from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.config.socket_address import host_and_port
from lightning_app.serving.grpc.call import Slots, handler
from lightning_app.serving.grpc.health_calls import HealthCalls
from lightning_app.serving.grpc.infer_calls import InferCalls
from lightning_app.serving.grpc.information_calls import InformationCalls
from lightning_app.serving.grpc.messages import HEALTH, INFERENCE
from lightning_app.serving.grpc.relay import Relay
from lightning_app.serving.http.serving_state import ServingState

_BACKLOG = 2048
_STREAMS = 128
"""Calls that a connection may have open."""
_WATCHES = 64
"""Watches of a worker that may be open; nobody needs a key for them."""
_KEEPALIVE_SECONDS, _KEEPALIVE_WAIT_SECONDS = 60, 20
_LEAST_PING_SECONDS = 10
_FLUSH_SECONDS = 1.0
_METADATA_BYTES = 8 * 2**10


class GrpcServer:
    """gRPC server of a worker.

    Args:
        state: State of the worker.
        listening: Socket that all workers share.
        folder: Folder of the worker's own socket, which other users cannot open.
    """

    def __init__(self, state: ServingState, listening: socket.socket, folder: Path) -> None:
        config = state.config
        self._listening = listening
        listening.setblocking(False)
        state.grpc_address = host_and_port(listening)
        self._seconds = config.limits.drain_seconds
        # The address of a socket has 108 bytes at most, and a folder may have a longer one.
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._path = Path(f"/proc/self/fd/{self._folder}/grpc-{os.getpid()}.sock")
        self._relay = Relay(
            self._path, most=config.limits.connections, on_refused=lambda: state.metrics.refused(503)
        )  # fmt: skip
        self._infer = InferCalls(state)
        self._server = grpc.aio.server(options=_options(config))
        self._server.add_generic_rpc_handlers((_Services(_handlers(state, self._infer)),))
        self._acceptor: asyncio.Server | None = None
        self._config = config

    async def start(self) -> None:
        """Starts to answer."""
        address = f"unix:{self._path}"
        config = self._config
        if config.tls_cert is None or config.tls_key is None:
            self._server.add_insecure_port(address)
        else:
            pair = (Path(config.tls_key).read_bytes(), Path(config.tls_cert).read_bytes())
            self._server.add_secure_port(address, grpc.ssl_server_credentials((pair,)))
        await self._server.start()
        loop = asyncio.get_running_loop()
        self._acceptor = await loop.create_server(self._relay.client, sock=self._listening, backlog=_BACKLOG)

    async def stop(self) -> None:
        """Accepts nothing any more, answers what is under way, and closes all connections."""
        assert self._acceptor is not None
        self._acceptor.close()
        self._listening.close()
        stopping = asyncio.create_task(self._server.stop(self._seconds))
        await asyncio.sleep(0)  # connections are told first
        self._infer.drain()
        await stopping
        await self._relay.closed(seconds=_FLUSH_SECONDS)
        self._path.unlink(missing_ok=True)
        os.close(self._folder)


class _Services(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, handlers: Mapping[str, Any]) -> None:
        self._handlers = handlers

    @override
    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _handlers(state: ServingState, infer: InferCalls) -> dict[str, Any]:
    """Handlers by the address of their method."""
    information, health = InformationCalls(state), HealthCalls(state)
    most = state.config.limits.connections
    inferences, streams, anyone, watches = Slots(most=most), Slots(most=most), Slots(most=most), Slots(most=_WATCHES)
    counted = {
        f"/{INFERENCE}/ModelInfer": (infer.infer, inferences, False),
        f"/{INFERENCE}/ModelStreamInfer": (infer.stream_infer, streams, True),
    }
    others = {
        f"/{INFERENCE}/ServerLive": (information.live, anyone, False),
        f"/{INFERENCE}/ServerReady": (information.ready, anyone, False),
        f"/{INFERENCE}/ServerMetadata": (information.metadata, anyone, False),
        f"/{INFERENCE}/ModelReady": (information.model_ready, anyone, False),
        f"/{INFERENCE}/ModelMetadata": (information.model_metadata, anyone, False),
        f"/{HEALTH}/Check": (health.check, anyone, False),
        f"/{HEALTH}/Watch": (health.watch, watches, True),
    }
    return {
        method: handler(method, behaviour, state, slots, is_stream=is_stream, is_counted=method in counted)
        for method, (behaviour, slots, is_stream) in (counted | others).items()
    }


def _options(config: ServeConfig) -> list[tuple[str, int]]:
    """Bounds of what a client may do."""
    limits = config.limits
    return [
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", limits.header_bytes),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.server_handshake_timeout_ms", int(1000 * limits.body_seconds)),
        ("grpc.keepalive_time_ms", 1000 * _KEEPALIVE_SECONDS),
        ("grpc.keepalive_timeout_ms", 1000 * _KEEPALIVE_WAIT_SECONDS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000 * _LEAST_PING_SECONDS),
    ]
