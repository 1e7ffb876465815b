"""Loading of versions while a worker serves; the one before stays until the new one is verified."""

import logging
import time
from functools import partial

from lightning_app.errors import describe
from lightning_app.serving.config.control_channel import Failed, ResolvedModel
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.load import load_model
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.observability.metrics import ModelMetrics
from lightning_app.serving.security.without_paths import without_paths

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
        served = self._state.models[resolved.name]
        if not served.is_loaded:
            return False
        model = served.arm.model
        return (model.version, model.digest) == (resolved.version, resolved.digest)

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
        before = served.arm.model if served.is_loaded else None
        try:
            model, plan = load_model(resolved, served.config)
        except Exception as error:
            reason = describe(error)
            served.problem = without_paths(reason)  # clients are told
            _log.error("%s could not be loaded: %s", resolved.title, reason)
            if before is not None:
                state.metrics.reloaded(name=resolved.name, result="failed")
            return Failed(name=resolved.name, version=resolved.version, digest=resolved.digest, error=reason)
        if state.journal is not None:
            state.journal.drop_tensors(redacted_tensors(model, state.config.journal))
        metrics = state.metrics.model(name=resolved.name, version=resolved.version, arm="champion")
        served.swap(model, plan, observe=partial(_observe, metrics))
        state.metrics.served(name=resolved.name, version=resolved.version, digest=resolved.digest)
        if before is not None:
            if before.digest != model.digest or before.version != model.version:
                state.metrics.served(name=resolved.name, version=before.version, digest=before.digest, is_served=False)
            state.metrics.reloaded(name=resolved.name, result="loaded")
        facts = {
            "model": resolved.name,
            "version": resolved.version,
            "digest": resolved.digest,
            "seconds": round(time.monotonic() - started, 3),
            "max_rows": plan.max_rows,
            "window_ms": plan.window_ms,
        }
        _log.info("loaded", extra={"facts": facts})
        return None


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
