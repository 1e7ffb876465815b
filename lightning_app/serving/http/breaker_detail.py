"""Breaker detail: the state of the breakers of a model, for readiness and pages."""

from datetime import UTC, datetime
from typing import Any

from lightning_app.serving.routing.served_model import ServedModel


def breaker_detail(served: ServedModel) -> dict[str, dict[str, Any]]:
    """State of the breakers in this worker, by arm; empty without any.

    Args:
        served: The model.
    """
    detail = {}
    for name, arm in served.arms.items():
        if arm.breaker is None:
            continue
        breaker = arm.breaker
        detail[name] = {
            "state": breaker.state,
            "reason": breaker.reason if breaker.state != "closed" else None,
            "since": None if breaker.changed is None else datetime.fromtimestamp(breaker.changed, UTC).isoformat(),
            "opened": breaker.opened,
            "stuck_calls": arm.batcher.num_stuck,
        }
    return detail
