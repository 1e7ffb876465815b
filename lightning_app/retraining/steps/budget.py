"""Budget of a model: minutes of training within a week."""

from lightning_app.retraining.steps.context import Context

WEEK = 7 * 86400.0


def device_minutes_left(context: Context, *, running: float = 0.0) -> float | None:
    """Minutes that may still be trained; None without a limit.

    Args:
        context: Of the tick.
        running: Minutes of the attempt that runs.
    """
    limit = context.policy.limits.device_minutes
    if limit is None:
        return None
    recent = [cycle for cycle in context.store.cycles(context.policy.model) if cycle.updated > context.now - WEEK]
    return limit - running - sum(float(cycle.facts.get("device_minutes", 0.0)) for cycle in recent)
