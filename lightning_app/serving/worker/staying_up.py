"""Staying up: breaker, limit of calls and constant fallback of a version that is loaded."""

import logging
from functools import partial

from lightning_app.serving.config.arm_references import own_arm
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.resilience_config import BreakerConfig
from lightning_app.serving.config.serve_config import ModelConfig
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.errors import BreakerOpenError
from lightning_app.serving.inference.hangs import HangLimit, hang_bounds
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.routing.breaker import STATES, Breaker, State
from lightning_app.serving.routing.constant import ConstantAnswer
from lightning_app.serving.routing.served_model import ServedModel

_log = logging.getLogger("lightning_app.serving")


def breaker_of(state: ServingState, config: ModelConfig, resolved: ResolvedModel) -> Breaker | None:
    """Breaker of a version; None if its model has neither a breaker nor a fallback.

    Args:
        state: State of the worker.
        config: Configuration of the model.
        resolved: The version.
    """
    wanted = _config(config)
    if wanted is None:
        return None
    state.metrics.breaker(name=resolved.name, version=resolved.version, arm=resolved.arm, state=0)
    return Breaker(wanted, on_change=partial(_changed, state, resolved))


def limit_of(
    state: ServingState, config: ModelConfig, resolved: ResolvedModel, plan: BatchPlan, breaker: Breaker | None
) -> HangLimit | None:
    """How long calls of a version may take; None if its model has neither a breaker nor a fallback.

    Args:
        state: State of the worker.
        config: Configuration of the model.
        resolved: The version.
        plan: Its measured calls.
        breaker: Its breaker, which opens at once where a call holds up the event loop.
    """
    wanted = _config(config)
    if wanted is None or breaker is None:
        return None
    seconds, per_row = hang_bounds(plan, hang_ms=wanted.hang_ms, deadline_ms=config.deadline_ms)
    return HangLimit(
        seconds,
        per_row,
        state.hangs.watch,
        partial(state.hangs.note, resolved.digest),
        partial(_hangs, state, resolved, breaker),
    )


def constant_of(served: ServedModel, resolved: ResolvedModel, model: LoadedModel) -> ConstantAnswer | None:
    """Constant that stands in for a version; None if the chain has none, or the version is not the model's own.

    Args:
        served: The model.
        resolved: The version.
        model: The loaded version.

    Raises:
        UsageError: The constant is no answer of the version.
    """
    fallback = served.config.fallback
    if not fallback or fallback[-1].constant is None or resolved.arm != own_arm(served.config):
        return None
    return ConstantAnswer(model, fallback[-1].constant)


def _config(config: ModelConfig) -> BreakerConfig | None:
    return config.breaker or (BreakerConfig() if config.fallback else None)


def _changed(state: ServingState, resolved: ResolvedModel, before: State, after: State, reason: str) -> None:
    state.metrics.breaker(name=resolved.name, version=resolved.version, arm=resolved.arm, state=STATES.index(after))
    say = _log.error if after == "open" else _log.warning
    if after == "open":
        for arm in state.models[resolved.name].arms.values():
            if arm.model.digest == resolved.digest and arm.breaker is not None:
                arm.batcher.give_up(BreakerOpenError(arm.breaker.seconds_left))
    facts = {"model": resolved.name, "arm": resolved.arm, "version": resolved.version, "before": before}
    say("breaker of %s (%s): %s: %s", resolved.name, resolved.arm, after, reason, extra={"facts": facts})


def _hangs(state: ServingState, resolved: ResolvedModel, breaker: Breaker, seconds: float, *, is_on_loop: bool) -> None:
    state.metrics.hang(name=resolved.name, version=resolved.version)
    _log.error(
        "%s: a call did not end within %.0f ms and is given up; its calls run in a thread of their own from now on",
        resolved.title,
        1000 * seconds,
    )
    if is_on_loop:
        breaker.trip("a call held up the event loop")
