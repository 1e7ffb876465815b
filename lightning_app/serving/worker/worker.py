"""Worker: serves the models of the runtime folder, and obeys the supervisor."""

import asyncio
import gc
import logging
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import uvicorn
import uvloop

from lightning_app.errors import describe, exit_code
from lightning_app.serving.config.control_channel import ResolvedModel, Unable
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.http.app import ServingApp
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.http.whole_response import with_whole_responses
from lightning_app.serving.inference.served_model import ServedModel
from lightning_app.serving.inference.sessions import SessionStore
from lightning_app.serving.journal.writer import JournalWriter
from lightning_app.serving.observability.logs import configure_logs
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.pages.page_routes import page_routes
from lightning_app.serving.security.access import Access
from lightning_app.serving.security.bounded_protocol import bounded_protocol
from lightning_app.serving.security.exposure import tls_context
from lightning_app.serving.security.refusal_error import RefusalError
from lightning_app.serving.v2.infer_route import InferEndpoint
from lightning_app.serving.v2.openapi_paths import v2_paths
from lightning_app.serving.v2.routes import v2_routes
from lightning_app.serving.worker.control import Control
from lightning_app.serving.worker.draining_server import DrainingServer
from lightning_app.serving.worker.journal_watch import watch_journal
from lightning_app.serving.worker.loading import Loading, redacted_tensors
from lightning_app.serving.worker.open_files import allow_connections
from lightning_app.serving.worker.session_watch import watch_sessions

_log = logging.getLogger("lightning_app.serving")
CONFIG, MODELS, METRICS, SESSIONS = "config.json", "models.json", "metrics", "sessions.db"
KEY_COUNTERS = "key_counters"
"""Files and folder of the runtime folder."""
_KEYS_SECONDS = 1.0


def run_worker(*, folder: Path, fd: int, control_in: int, control_out: int, number: int) -> int:
    """Serves until the supervisor or a signal ends it.

    Args:
        folder: Runtime folder of the server.
        fd: Socket that is listened on.
        control_in: Pipe of commands.
        control_out: Pipe of events.
        number: Number of the worker, from 0.

    Returns:
        Exit code.
    """
    config = msgspec.json.decode((folder / CONFIG).read_bytes(), type=ServeConfig)
    models = msgspec.json.decode((folder / MODELS).read_bytes(), type=list[ResolvedModel])
    executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
    served = {
        resolved.name: ServedModel(model, name=resolved.name, executor=executor)
        for resolved, model in zip(models, config.models, strict=True)
    }
    metrics = Metrics(folder=folder / METRICS, worker=str(number))
    sessions = SessionStore(folder / SESSIONS, limits={name: model.config.sessions for name, model in served.items()})
    process = f"worker {number}"
    log = configure_logs(level=config.log_level, process=process, on_dropped=metrics.log_lines_dropped.add)
    allow_connections(config.limits.connections)
    access = Access.open(config.keys, folder / KEY_COUNTERS, on_refused=metrics.key_refused)
    state = ServingState(
        config=config, models=served, metrics=metrics, access=access, executor=executor, sessions=sessions
    )
    if config.otlp_endpoint is not None:
        from lightning_app.serving.observability.span_export import SpanExport

        state.spans = SpanExport(endpoint=config.otlp_endpoint, process=process, on_dropped=metrics.spans_dropped.add)
    loading = Loading(state)
    failed = [event for event in map(loading.load, models) if event is not None]
    control = Control(state, loading, read=control_in, write=control_out)
    if failed:
        for event in failed:
            control.say(event)
        return 1
    gc.collect()
    gc.freeze()  # models and modules live as long as the worker

    def refused(refusal: RefusalError) -> None:
        metrics.refused(refusal.status)

    pages = page_routes(state, further_paths=partial(v2_paths, has_keys=config.keys is not None))
    infer = InferEndpoint(state)
    server = DrainingServer(
        uvicorn.Config(
            ServingApp(state, [*v2_routes(state, infer), *pages], hot=[infer]),
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

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn drains on these by itself, and then raises them again for the handler that was there before.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with socket.socket(fileno=fd) as listening:  # a copy of it would go on listening while the worker drains
        listening.setblocking(False)
        problem = uvloop.run(_serve(server, listening, control, state))
    executor.shutdown(wait=False, cancel_futures=True)
    sessions.close()
    if state.spans is not None:
        state.spans.close()
    log.close()
    return 0 if problem is None else problem.code


async def _serve(
    server: uvicorn.Server, listening: socket.socket, control: Control, state: ServingState
) -> Unable | None:
    """Serves; why it cannot, if that is so."""
    if state.config.journal.url is not None:
        state.journal = JournalWriter(state.config.journal, on_commit=state.metrics.journal.commit_seconds.observe)
        for served in state.models.values():
            state.journal.drop_tensors(redacted_tensors(served.arm.model, state.config.journal))
        try:
            await state.journal.start()
        except ValueError as error:
            problem = Unable(error=describe(error), code=exit_code(error))
            control.say(problem)
            return problem
    beside = [
        asyncio.create_task(control.obey(server)),
        asyncio.create_task(watch_journal(state)),
        asyncio.create_task(watch_sessions(state)),
        asyncio.create_task(_watch_keys(state.access)),
    ]
    for task in beside:
        task.add_done_callback(_log_failure)
    await server.serve(sockets=[listening])
    for task in beside:
        task.cancel()
    if state.journal is not None:
        await state.journal.close()
    return None


def _log_failure(task: asyncio.Task[None]) -> None:
    """Says what ended a task; nobody waits for it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a task of the worker failed", exc_info=error)


async def _watch_keys(access: Access) -> None:
    """Takes over changes of the key file, so that a revoked key is refused within a second."""
    while not access.is_open:
        await asyncio.sleep(_KEYS_SECONDS)
        access.reload_if_changed()
