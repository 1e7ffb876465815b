"""Data of the status page: models with their traffic, and facts of the server in words."""

from datetime import UTC, datetime
from typing import Any

from lightning_app.serving.config.arm_references import SHADOW
from lightning_app.serving.config.monitor_files import Summary
from lightning_app.serving.experiments.assignment import shares_of
from lightning_app.serving.http.breaker_detail import breaker_detail
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.observability.snapshot import ModelTraffic, ShadowTraffic, Snapshot
from lightning_app.serving.pages.monitor_page import read_summary
from lightning_app.serving.routing.breaker import STATES
from lightning_app.serving.routing.served_model import ServedModel
from lightning_app.version import __version__

OPEN = STATES.index("open")


def page_data(state: ServingState) -> dict[str, Any]:
    """Content of `/page/data`.

    Args:
        state: State of the worker.
    """
    snapshot = state.metrics.snapshot()
    summary = None if state.monitoring is None else read_summary(state.monitoring)
    models = [_model(served, snapshot, summary) for served in state.models.values()]
    return {
        "time": snapshot.time,
        "models": models,
        "problems": _problems(state, snapshot, models),
        "monitored": state.monitoring is not None,
        "facts": [{"name": name, "value": value} for name, value in _facts(state, snapshot).items()],
    }


def _model(served: ServedModel, snapshot: Snapshot, summary: Summary | None) -> dict[str, Any]:
    traffic = [one for one in snapshot.models if one.model == served.name]
    loaded = served.arm.model if served.is_loaded else None
    latest = _latest(traffic)
    return {
        "name": served.name,
        "reference": served.config.model if "/" not in served.config.model else None,
        "task": None if loaded is None else loaded.package.manifest.task.replace("_", " "),
        "version": None if loaded is None else loaded.version,
        "digest": "" if loaded is None else loaded.digest,
        "problem": served.problem,
        "requests": sum(one.total.requests for one in traffic),
        "per_second": sum(one.recent.per_second for one in traffic if one.recent is not None),
        "refused": sum(one.total.refused for one in traffic),
        "failed": sum(one.total.failed for one in traffic),
        "latency_ms": {"p50": latest.p50_ms, "p95": latest.p95_ms, "p99": latest.p99_ms} if latest else {},
        "experiment": _experiment(served),
        "shadow": _shadow(served, snapshot),
        "verdict": _verdict(served, summary),
        "queued": snapshot.queued.get(served.name, 0),
        "arms": [
            {"name": one.arm, "version": one.version, "requests": one.total.requests, "p50_ms": one.total.p50_ms}
            for one in traffic
        ],
    }


def _verdict(served: ServedModel, summary: Summary | None) -> dict[str, Any] | None:
    """What monitoring says of a model."""
    found = None if summary is None else next((one for one in summary.models if one.model == served.name), None)
    return None if found is None else {"status": found.status, "words": found.words, "text": found.text}


def _experiment(served: ServedModel) -> dict[str, Any] | None:
    """The experiment or canary of a model, with what its process says of it."""
    routing = served.routing
    if routing is None:
        return None
    shares = None if routing.linear is not None else shares_of(routing.layout)
    return {"id": routing.experiment, "shares": shares, **routing.facts}


def _shadow(served: ServedModel, snapshot: Snapshot) -> dict[str, Any] | None:
    arm = served.arms.get(SHADOW)
    if arm is None:
        return None
    traffic = snapshot.shadows.get(served.name, ShadowTraffic())
    return {
        "version": arm.model.version,
        "digest": arm.model.digest,
        "requests": traffic.answered + traffic.failed,
        "failed": traffic.failed,
        "left_out": traffic.left_out,
        "stateful": traffic.stateful,
        "rows": traffic.rows,
        "agreement": traffic.agreeing / traffic.rows if traffic.rows else None,
    }


def _latest(traffic: list[ModelTraffic]) -> Any:
    """Traffic of the busiest version: of the last minute, or in total if the minute was quiet."""
    recent = [one.recent for one in traffic if one.recent is not None and one.recent.p50_ms is not None]
    total = [one.total for one in traffic if one.total.p50_ms is not None]
    return max(recent or total, key=lambda one: one.requests, default=None)


def _problems(state: ServingState, snapshot: Snapshot, models: list[dict[str, Any]]) -> list[str]:
    problems = [] if state.chaos is None else [f"faults are injected on purpose: {'; '.join(state.chaos.lines)}"]
    problems += [] if state.is_ready else ["not ready"]
    problems += [f"{model['name']}: a version was not loaded" for model in models if model["problem"]]
    for (name, arm), breaker in snapshot.breakers.items():
        if breaker and name in state.models:
            said = breaker_detail(state.models[name]).get(arm, {}).get("reason") or "another worker says why in its log"
            problems.append(f"{name}: {arm} is {'not asked' if breaker == OPEN else 'tried again'}: {said}")
    if state.config.journal.url is not None and not snapshot.journal_up:
        problems.append("the journal cannot be written")
    if state.registry is not None and not state.registry.reachable:
        problems.append("the registry cannot be reached")
    return problems


def _facts(state: ServingState, snapshot: Snapshot) -> dict[str, str]:
    config = state.config
    journal = "off"
    if config.journal.url is not None:
        journal = "written" if snapshot.journal_up else "cannot be written"
        journal += f" ({config.journal.url.partition(':')[0]})"
        if snapshot.journal_pending:
            journal += f", {snapshot.journal_pending:,} predictions wait in spill files"
    registry = "none"
    if state.registry is not None:
        registry = f"{'reachable' if state.registry.reachable else 'unreachable'} since {_time(state.registry.since)}"
        for refused in state.registry.refused:
            version = "" if refused.version is None else f" {refused.version}"
            registry += f"; {refused.name}{version} was refused: {refused.error}"
    again = snapshot.worker_starts - snapshot.workers
    restarts = f", {_count(again, 'restart')}" if again > 0 else ""
    unknown = sum(one.total.requests for one in snapshot.models if not one.model)
    return {
        "Journal": journal,
        "Registry": registry,
        "Workers": f"{snapshot.workers:,}{restarts}",
        "Running since": _time(datetime.fromtimestamp(snapshot.started, UTC).isoformat()),
        "In flight": _count(max(0, snapshot.in_flight - 1), "request"),  # beside the one that asks
        "Refused before a model was known": _count(unknown, "request"),
        "API keys": "needed" if config.keys else "not needed",
        "Version": __version__,
    }


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _time(text: str) -> str:
    return text.replace("T", " ")[:19] + " UTC"
