"""Clean-up at the end of a cycle: nothing of it trains on, and its version keeps no alias that it has not earned."""

from typing import Any

from lightning_app.errors import describe
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.steps.aliases import fate_of, let_go
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.outcome import Stop
from lightning_app.retraining.steps.register import version_of
from lightning_app.retraining.steps.train import stop_training


def clean_up(context: Context, cycle: Cycle, stop: Stop) -> tuple[Stop, dict[str, Any]]:
    """Undoes what must not stay.

    Args:
        context: Of the tick.
        cycle: The cycle.
        stop: How it is to end.

    Returns:
        stop: How it ends: a version that a canary has made champion in the last moment is promoted.
        facts: Facts that are added.
    """
    if cycle.state in ("frozen", "training"):
        stop_training(context, cycle)
    if stop.state in ("promoted", "rolled_back") or cycle.state in ("triggered", "frozen", "training"):
        return stop, {}
    try:
        return _undone(context, cycle, stop)
    except ValueError as error:  # e.g. somebody has deleted the version
        return Stop(state=stop.state, reason=f"{stop.reason}; its version was not looked after: {describe(error)}"), {}


def _undone(context: Context, cycle: Cycle, stop: Stop) -> tuple[Stop, dict[str, Any]]:
    version = version_of(context, cycle)
    if version is None:
        return stop, {}
    facts = {"version": version}
    fate = fate_of(context.registry, cycle.model, version)
    if fate.kind == "champion":
        return Stop(
            state="promoted", reason=f"{fate.words} (it was about to end as {stop.state}: {stop.reason})"
        ), facts
    if fate.kind == "held":
        let_go(context, cycle, stop.reason)
    return stop, facts
