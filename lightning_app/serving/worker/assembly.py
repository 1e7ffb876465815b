"""Assembly of what answers requests: state, application, journal and watches of a worker, or of another ASGI server."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lightning_app.serving.config import monitor_files
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.http.app import ServingApp
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.hang_record import HangRecord
from lightning_app.serving.inference.sessions import SessionStore
from lightning_app.serving.journal.reward_limits import limits_of
from lightning_app.serving.journal.writer import JournalWriter
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.pages.page_routes import page_routes
from lightning_app.serving.routing.chaos import Chaos
from lightning_app.serving.routing.served_model import ServedModel
from lightning_app.serving.security.access import Access
from lightning_app.serving.v2.infer_route import InferEndpoint
from lightning_app.serving.v2.openapi_paths import v2_paths
from lightning_app.serving.v2.routes import v2_routes
from lightning_app.serving.worker.journal_watch import watch_journal
from lightning_app.serving.worker.loading import redacted_tensors
from lightning_app.serving.worker.session_watch import watch_sessions

_log = logging.getLogger("lightning_app.serving")
METRICS, SESSIONS, KEY_COUNTERS, HANGS = "metrics", "sessions.db", "key_counters", "hangs"
"""Files and folders of the runtime folder."""
_KEYS_SECONDS = 1.0
_COUNTS_SECONDS = 1.0


def open_state(
    *, folder: Path, config: ServeConfig, models: Sequence[ResolvedModel], metrics: Metrics, process: str
) -> ServingState:
    """State of a worker before its models are loaded and its journal is started.

    Args:
        folder: Runtime folder of the server.
        config: Configuration.
        models: Packages of its models, in their order.
        metrics: Metrics of the worker.
        process: Name of the process in traces.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
    names = dict.fromkeys(resolved.name for resolved in models)
    served = {name: ServedModel(model, name=name) for name, model in zip(names, config.models, strict=True)}
    sessions = SessionStore(folder / SESSIONS, limits={name: model.config.sessions for name, model in served.items()})
    access = Access.open(config.keys, folder / KEY_COUNTERS, on_refused=metrics.key_refused)
    state = ServingState(
        config=config,
        models=served,
        metrics=metrics,
        access=access,
        executor=executor,
        sessions=sessions,
        hangs=HangRecord(folder / HANGS),
        chaos=None if config.chaos is None else Chaos(config.chaos),
        monitoring=None if config.monitor is None else folder / monitor_files.FOLDER,
    )
    if config.otlp_endpoint is not None:
        from lightning_app.serving.observability.span_export import SpanExport

        state.spans = SpanExport(endpoint=config.otlp_endpoint, process=process, on_dropped=metrics.spans_dropped.add)
    return state


def app_of(state: ServingState) -> ServingApp:
    """The application that answers with a state: predictions, feedback, the Open Inference Protocol and the pages.

    Args:
        state: State of the worker.
    """
    pages = page_routes(state, further_paths=partial(v2_paths, has_keys=state.config.keys is not None))
    infer = InferEndpoint(state)
    return ServingApp(state, [*v2_routes(state, infer), *pages], hot=[infer])


async def start_journal(state: ServingState) -> None:
    """Starts the journal of a state whose models are loaded, if it has one.

    Args:
        state: State of the worker.

    Raises:
        ValueError: The journal cannot be used.
    """
    if state.config.journal.url is None:
        return
    limits = {name: limits for name, served in state.models.items() if (limits := limits_of(served.config)) is not None}
    on_commit = state.metrics.journal.commit_seconds.observe
    fault = None if state.chaos is None else state.chaos.journal_fault()
    state.journal = JournalWriter(state.config.journal, limits=limits, on_commit=on_commit, fault=fault)
    for arm in (arm for served in state.models.values() for arm in served.arms.values()):
        state.journal.drop_tensors(redacted_tensors(arm.model, state.config.journal))
    await state.journal.start()


def watch_state(state: ServingState) -> list[asyncio.Task[None]]:
    """Starts what goes on beside the answers: journal health, number of sessions, changes of the key file.

    Args:
        state: State of the worker.

    Returns:
        Tasks that run until they are cancelled.
    """
    tasks = [
        asyncio.create_task(watch_journal(state)),
        asyncio.create_task(watch_sessions(state)),
        asyncio.create_task(_watch_keys(state.access)),
        asyncio.create_task(_write_counts(state)),
    ]
    for task in tasks:
        task.add_done_callback(log_failure)
    return tasks


def close_state(state: ServingState) -> None:
    """Closes what a state holds; its journal is closed where it was started.

    Args:
        state: State of the worker.
    """
    state.executor.shutdown(wait=False, cancel_futures=True)
    state.sessions.close()
    if state.spans is not None:
        state.spans.close()


def log_failure(task: asyncio.Task[None]) -> None:
    """Says what ended a task that nobody waits for.

    Args:
        task: It has ended.
    """
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a task of the worker failed", exc_info=error)


async def _write_counts(state: ServingState) -> None:
    """Writes the counts of arms once a second, and once more at the end."""
    if state.journal is None:
        return
    try:
        while True:
            await asyncio.sleep(_COUNTS_SECONDS)
            if counts := state.arm_counter.take():
                state.journal.counts(counts)
            for name, served in state.models.items():
                for column, what, number in served.take_replaced():
                    state.metrics.replaced_values(name=name, column=column, what=what, number=number)
    finally:
        state.journal.counts(state.arm_counter.take())


async def _watch_keys(access: Access) -> None:
    """Takes over changes of the key file, so that a revoked key is refused within a second."""
    while not access.is_open:
        await asyncio.sleep(_KEYS_SECONDS)
        access.reload_if_changed()
