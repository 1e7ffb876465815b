"""Loading of versions while a worker serves; the one before stays until the new one is verified."""

import logging
import time
from collections.abc import Sequence
from functools import partial

from lightning_app.errors import describe
from lightning_app.serving.config.control_channel import Failed, ResolvedModel
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.load import load_model
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.observability.metrics import ModelMetrics
from lightning_app.serving.routing.served_model import Arm
from lightning_app.serving.security.without_paths import without_paths
from lightning_app.serving.worker.staying_up import breaker_of, constant_of, limit_of

_log = logging.getLogger("lightning_app.serving")


class Loading:
    """Loads versions into the served models of a worker.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._state = state

    def is_served(self, resolved: ResolvedModel) -> bool:
        """Whether a version answers already.

        Args:
            resolved: The version.
        """
        arm = self._state.models[resolved.name].arms.get(resolved.arm)
        return arm is not None and _is_of(arm, resolved)

    def load(self, resolved: ResolvedModel) -> Failed | None:
        """Loads a version, and lets it answer; blocks while it is verified and measured.

        Args:
            resolved: The version.

        Returns:
            Why it could not be loaded; None if it was.
        """
        started = time.monotonic()
        state = self._state
        served = state.models[resolved.name]
        chaos = state.chaos
        held = served.arms.get(resolved.arm)
        before = None if held is None else held.model
        same = next((arm for arm in served.arms.values() if _is_of(arm, resolved)), None)
        if same is not None:  # e.g. the challenger has become champion
            served.share(resolved.arm, same)
            self._forget(held)
            if before is not None:
                state.metrics.reloaded(name=resolved.name, result="loaded")
            _log.info("loaded", extra={"facts": _facts(resolved, started, same.batcher.plan)})
            return None
        try:
            fault = None if chaos is None else chaos.store_fault(resolved.name)
            model, plan = load_model(resolved, served.config, store_fault=fault)
            constant = constant_of(served, resolved, model)
        except Exception as error:
            reason = describe(error)
            served.problem = without_paths(reason)  # clients are told
            _log.error("%s could not be loaded: %s", resolved.title, reason)
            if before is not None:
                state.metrics.reloaded(name=resolved.name, result="failed")
            return Failed(
                name=resolved.name, arm=resolved.arm, version=resolved.version, digest=resolved.digest, error=reason
            )
        if state.journal is not None:
            state.journal.drop_tensors(redacted_tensors(model, state.config.journal))
        metrics = state.metrics.model(name=resolved.name, version=resolved.version, arm=resolved.arm)
        breaker = breaker_of(state, served.config, resolved)
        served.serve(
            resolved.arm,
            model,
            plan,
            observe=partial(_observe, metrics),
            breaker=breaker,
            limit=limit_of(state, served.config, resolved, plan, breaker),
            answer=None
            if state.chaos is None
            else state.chaos.around(model.answer, model=resolved.name, arm=resolved.arm),
            is_suspect=state.hangs.is_suspect(resolved.digest),
        )
        if constant is not None:
            served.constant = constant
        state.metrics.served(name=resolved.name, version=resolved.version, digest=resolved.digest)
        self._forget(held)
        if before is not None:
            state.metrics.reloaded(name=resolved.name, result="loaded")
        _log.info("loaded", extra={"facts": _facts(resolved, started, plan)})
        return None

    def keep(self, models: Sequence[ResolvedModel]) -> None:
        """Serves the arms of these models alone.

        Args:
            models: All models.
        """
        arms: dict[str, set[str]] = {}
        for model in models:
            arms.setdefault(model.name, set()).add(model.arm)
        for name, served in self._state.models.items():
            for gone in served.keep(arms.get(name, set())):
                self._forget(gone)

    def _forget(self, gone: Arm | None) -> None:
        """Takes a version that no arm serves any more out of the metrics."""
        if gone is None:
            return
        model = gone.model
        served = self._state.models[model.name]
        versions = {(arm.model.version, arm.model.digest) for arm in served.arms.values()}
        if (model.version, model.digest) not in versions:
            self._state.metrics.served(name=model.name, version=model.version, digest=model.digest, is_served=False)
            if gone.breaker is not None:
                self._state.metrics.breaker(name=model.name, version=model.version, arm=gone.name, state=0)


def _is_of(arm: Arm, resolved: ResolvedModel) -> bool:
    return (arm.model.version, arm.model.digest) == (resolved.version, resolved.digest)


def _facts(resolved: ResolvedModel, started: float, plan: BatchPlan) -> dict[str, object]:
    return {
        "model": resolved.name,
        "arm": resolved.arm,
        "version": resolved.version,
        "digest": resolved.digest,
        "seconds": round(time.monotonic() - started, 3),
        "max_rows": plan.max_rows,
        "window_ms": plan.window_ms,
    }


def _observe(metrics: ModelMetrics, rows: int, waited: float, seconds: float, waiting: int) -> None:
    metrics.queued.set(waiting)
    metrics.queue_seconds.observe(waited)
    metrics.batch(rows=rows, seconds=seconds)


def redacted_tensors(model: LoadedModel, journal: JournalConfig) -> list[str]:
    """Inputs among whose columns are some that the journal drops or hashes.

    Args:
        model: A version.
        journal: Configuration of the journal.
    """
    redacted = {*journal.drop, *journal.hash}
    return [spec.name for spec in model.package.manifest.inputs if redacted & set(spec.columns or ())]
