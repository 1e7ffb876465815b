"""Worker: opens model, journal, source and sinks of a stream, runs its loop, and ends it in order."""

import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import FrameType

import msgspec

from lightning_app.errors import UsageError
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.inference.hangs import LoopWatch
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.journal.maintenance import JournalMaintenance
from lightning_app.serving.journal.redaction import Redaction
from lightning_app.serving.journal.stores import open_database, open_store
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.observability.logs import configure_logs
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.stream.address import Address, read_address
from lightning_app.serving.stream.answering.commit import ANSWERS, DEAD, Commit
from lightning_app.serving.stream.answering.recording import Recording
from lightning_app.serving.stream.errors import StreamError
from lightning_app.serving.stream.loop import Loop
from lightning_app.serving.stream.model_follower import ModelFollower
from lightning_app.serving.stream.progress import Progress
from lightning_app.serving.stream.sinks.delivery import Delivery
from lightning_app.serving.stream.sinks.open_sink import open_sink
from lightning_app.serving.stream.sources.open_source import check_installed, open_source, queue_source
from lightning_app.serving.stream.stream_config import StreamConfig, StreamName
from lightning_app.serving.supervisor.runtime_folder import RuntimeFolder
from lightning_app.serving.worker.loading import redacted_tensors

_log = logging.getLogger("lightning_app.serving.stream")
_STUCK_SECONDS = 10.0
"""How long a call of the model may go on after it was told to stop; then the process ends."""


def run_worker(config: StreamConfig, *, max_events: int | None, idle_seconds: float | None) -> int:
    """Answers a stream until a signal ends it, or there is nothing left.

    Args:
        config: Configuration.
        max_events: The worker ends after so many events; None goes on.
        idle_seconds: The worker ends when there was nothing to do for so long; None goes on.

    Returns:
        Exit code: 0, or 1 if messages were not acknowledged in time.

    Raises:
        UsageError: Something given is wrong.
        RuntimeError: Something cannot be reached, or has failed for too long.
    """
    source = read_address(config.source, option="--from", is_source=True)
    targets = {
        target: read_address(text, option=option, is_source=False)
        for target, text, option in ((ANSWERS, config.sink, "--to"), (DEAD, config.dead_letters, "--dead-letters"))
        if text is not None
    }
    for address in (source, *targets.values()):
        check_installed(address)
    with ExitStack() as stack:
        runtime = RuntimeFolder()  # also removes what workers that were killed have left
        stack.callback(runtime.remove)
        metrics = Metrics(folder=runtime.metrics, worker="0")
        stack.callback(metrics.close)
        logs = configure_logs(level=config.log_level, process="stream", on_dropped=metrics.log_lines_dropped.add)
        stack.callback(_close_logs, logs)
        database = _opened_journal(config, stack)
        follower = ModelFollower(_serve_config(config), metrics)
        model, plan = follower.load()
        stack.callback(follower.stop)
        _check_model(config, model)
        group = source.group or model.name
        stream = _stream_name(config, source, group)
        for target, address in targets.items():
            if address.kind == "queue" and address.name in (stream, source.name if source.kind == "queue" else stream):
                option = "--to" if target == ANSWERS else "--dead-letters"
                raise UsageError(f"{option}: {address.text} given, from which the stream reads; give another queue")
        holder = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        sinks = {target: open_sink(one, config) for target, one in targets.items() if one.kind != "queue"}
        delivery = Delivery(database, sinks=sinks, stream=stream, holder=holder, lease_seconds=config.lease_seconds)
        stack.callback(delivery.close)
        commit = Commit(
            database,
            stream=stream,
            recording=Recording(source, answer_type=config.answer_type, digits=config.model.digits),
            delivery=delivery,
            queues={target: one.name for target, one in targets.items() if one.kind == "queue"},
        )
        redact = _redaction(config, commit)
        redact(model)
        events = open_source(source, config, database=database, stream=stream, group=group, holder=holder)
        stack.callback(_closed, events.close)
        retries = None
        if source.kind != "queue" or source.name != stream:
            retries = queue_source(config, database=database, queue=stream, holder=holder)
            stack.callback(_closed, retries.close)
        progress = Progress(metrics, stream=stream, source=events, delivery=delivery)
        loop = Loop(
            config,
            database=database,
            stream=stream,
            source=events,
            retries=retries,
            commit=commit,
            delivery=delivery,
            progress=progress,
            watch=LoopWatch(stuck_seconds=_STUCK_SECONDS, on_stuck=partial(_end_stuck, logs, runtime.path)),
            following=follower.take,
            on_model=redact,
            max_events=max_events,
            idle_seconds=idle_seconds,
        )
        loop.use(model, plan)
        follower.start()
        _expose(config, metrics)
        metrics.ready()
        with _signals(loop.stop):
            ready = {"stream": stream, "source": source.text, "model": model.name, "worker": holder, "pid": os.getpid()}
            _log.info("ready", extra={"facts": ready})
            _say(f"answering {stream} from {source.text} with {_title(model)}; journal {database.url}")
            loop.run()
            _log.info("draining", extra={"facts": progress.facts()})
            in_time = loop.drain()
        progress.update()
        _log.info("ended", extra={"facts": progress.facts()})
        _say(_summary(progress))
        if not in_time:
            _log.error("%d messages were not acknowledged; the next worker produces them", delivery.in_flight)
        return 0 if in_time else 1


def _serve_config(config: StreamConfig) -> ServeConfig:
    """What resolving and following of a model take."""
    return ServeConfig(
        models=[config.model],
        registry=config.registry,
        poll_seconds=config.poll_seconds,
        trusted_keys=config.trusted_keys,
        journal=config.journal,
    )


def _opened_journal(config: StreamConfig, stack: ExitStack) -> JournalDatabase:
    assert config.journal.url is not None
    try:
        maintenance = JournalMaintenance(config.journal)
        database = open_database(config.journal.url, synchronous=config.journal.synchronous)
    except ValueError as error:
        raise UsageError(str(error)) from error
    stack.callback(database.close)
    maintenance.start()
    stack.callback(maintenance.stop)
    return database


def _check_model(config: StreamConfig, model: LoadedModel) -> None:
    if config.sessions and not model.package.manifest.state:
        raise UsageError(f"--sessions: given, but {model.name} carries no state from event to event")
    if not config.sessions and model.package.manifest.state:
        _log.warning("%s can carry a state from event to event; without --sessions each event begins anew", model.name)


def _stream_name(config: StreamConfig, source: Address, group: str) -> str:
    name = config.name or (source.name if source.kind == "queue" else f"{source.name}.{group}")
    try:
        return msgspec.convert(name, StreamName)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"--name: the stream would be called {name!r}; give it a name of up to 90 letters, digits, '_', '-' and '.'"
        ) from error


def _redaction(config: StreamConfig, commit: Commit) -> Callable[[LoadedModel], None]:
    """Leaves out of the journal what is to be dropped or hashed, for each version that answers."""
    journal = config.journal
    if not journal.drop and not journal.hash:
        return lambda _: None
    assert journal.url is not None
    store = open_store(journal.url)
    salt = store.salt()
    store.close()
    dropped = {*journal.drop}

    def redact(model: LoadedModel) -> None:
        dropped.update(redacted_tensors(model, journal))
        commit.redaction = Redaction(dropped=dropped, hashed=journal.hash, salt=salt)

    return redact


def _expose(config: StreamConfig, metrics: Metrics) -> None:
    if config.metrics is None:
        return
    from prometheus_client import CollectorRegistry, start_http_server

    host, _, port = config.metrics.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    try:
        start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1", registry=registry)
    except (OSError, OverflowError) as error:
        raise UsageError(f"--metrics: {config.metrics} cannot be listened on: {error}") from error


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT end the loop in order; a second one ends the process at once."""
    is_stopping = False

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal is_stopping
        if is_stopping:
            _log.warning("ended at once by a second signal")
            raise SystemExit(1)
        is_stopping = True
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _closed(close: Callable[[], None]) -> None:
    try:
        close()
    except (StreamError, RuntimeError) as error:
        _log.warning("what was claimed could not be given back in order: %s", error)


def _end_stuck(logs: logging.Handler, folder: Path) -> None:
    """Ends the process under a call that cannot be stopped: its events come again, and alone after some deaths."""
    _log.error("a call of the model hangs and cannot be stopped; the process ends, its events belong to the next one")
    logs.close()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _close_logs(logs: logging.Handler) -> None:
    logs.close()
    logging.getLogger().removeHandler(logs)
    logging.captureWarnings(False)


def _title(model: LoadedModel) -> str:
    return model.name if model.version is None else f"{model.name}@{model.version}"


def _summary(progress: Progress) -> str:
    totals = progress.totals
    parts = [f"{totals.answered:,} events answered ({totals.rows:,} rows)", f"{totals.dead:,} dead letters"]
    if totals.repeated:
        parts.append(f"{totals.repeated:,} had been answered before")
    return ", ".join(parts)


def _say(line: str) -> None:
    try:
        print(line, flush=True)  # noqa: T201
    except BrokenPipeError:  # the log has it too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
