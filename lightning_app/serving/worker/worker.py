"""Worker: serves the models of the runtime folder, and obeys the supervisor."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import uvicorn
import uvloop

from lightning_app.errors import describe, exit_code
from lightning_app.serving.config.arm_references import arm_references
from lightning_app.serving.config.control_channel import Failed, ResolvedModel, Unable
from lightning_app.serving.config.serve_config import ModelConfig, ServeConfig
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.http.whole_response import with_whole_responses
from lightning_app.serving.observability.logs import configure_logs
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.security.bounded_protocol import bounded_protocol
from lightning_app.serving.security.exposure import tls_context
from lightning_app.serving.security.refusal_error import RefusalError
from lightning_app.serving.worker.assembly import (
    METRICS,
    app_of,
    close_state,
    log_failure,
    open_state,
    start_journal,
    watch_state,
)
from lightning_app.serving.worker.control import Control
from lightning_app.serving.worker.draining_server import DrainingServer
from lightning_app.serving.worker.loading import Loading
from lightning_app.serving.worker.open_files import allow_connections

CONFIG, MODELS = "config.json", "models.json"
"""Files of the runtime folder."""


def run_worker(*, folder: Path, fd: int, grpc_fd: int | None, control_in: int, control_out: int, number: int) -> int:
    """Serves until the supervisor or a signal ends it.

    Args:
        folder: Runtime folder of the server.
        fd: Socket that is listened on.
        grpc_fd: That of gRPC; None without.
        control_in: Pipe of commands.
        control_out: Pipe of events.
        number: Number of the worker, from 0.

    Returns:
        Exit code.
    """
    config = msgspec.json.decode((folder / CONFIG).read_bytes(), type=ServeConfig)
    models = msgspec.json.decode((folder / MODELS).read_bytes(), type=list[ResolvedModel])
    metrics = Metrics(folder=folder / METRICS, worker=str(number))
    process = f"worker {number}"
    log = configure_logs(level=config.log_level, process=process, on_dropped=metrics.log_lines_dropped.add)
    # A connection of gRPC has three files: its own, and both sides of the relay.
    allow_connections(config.limits.connections * (1 if grpc_fd is None else 4))
    state = open_state(folder=folder, config=config, models=models, metrics=metrics, process=process)
    loading = Loading(state)
    events = [event for event in map(loading.load, models) if event is not None]
    failed = [event for event in events if not _is_optional(event, state.models[event.name].config)]
    control = Control(state, loading, read=control_in, write=control_out)
    if failed:
        for event in failed:
            control.say(event)
        return 1
    gc.collect()
    gc.freeze()  # models and modules live as long as the worker

    def refused(refusal: RefusalError) -> None:
        metrics.refused(refusal.status)

    server = DrainingServer(
        uvicorn.Config(
            app_of(state),
            http=with_whole_responses(bounded_protocol(config.limits, on_refusal=refused)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=2048,
            timeout_graceful_shutdown=int(config.limits.drain_seconds),
            proxy_headers=False,  # anyone could name another address in them
            ssl_context_factory=None if config.tls_cert is None else lambda *_: tls_context(config),
        ),
        state,
    )

    async def start_grpc() -> None:
        if grpc_fd is not None:
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its lines are no JSON, and errors reach the calls
            from lightning_app.serving.grpc.server import GrpcServer

            grpc = GrpcServer(state, socket.socket(fileno=grpc_fd), folder)
            await grpc.start()
            server.beside = grpc.stop

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn drains on these by itself, and then raises them again for the handler that was there before.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with socket.socket(fileno=fd) as listening:  # a copy of it would go on listening while the worker drains
        listening.setblocking(False)
        problem = uvloop.run(_serve(server, listening, control, state, start_grpc=start_grpc))
    close_state(state)
    log.close()
    return 0 if problem is None else problem.code


async def _serve(
    server: uvicorn.Server,
    listening: socket.socket,
    control: Control,
    state: ServingState,
    *,
    start_grpc: Callable[[], Awaitable[None]],
) -> Unable | None:
    """Serves; why it cannot, if that is so."""
    try:
        await start_journal(state)
    except ValueError as error:
        problem = Unable(error=describe(error), code=exit_code(error))
        control.say(problem)
        return problem
    await start_grpc()
    controlled = [asyncio.create_task(control.obey(server)), asyncio.create_task(control.beat())]
    for task in controlled:
        task.add_done_callback(log_failure)
    beside = [*controlled, *watch_state(state)]
    await server.serve(sockets=[listening])
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)  # the last counts
    if state.journal is not None:
        await state.journal.close()
    return None


def _is_optional(event: Failed, config: ModelConfig) -> bool:
    """Whether a server starts although an arm could not be loaded; its share is answered by the model itself."""
    return any(arm.is_optional for arm in arm_references(config) if arm.arm == event.arm)
