"""Config changes: what differs between two resolved configs."""

from typing import Any


def config_changes(before: Any, now: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted keys of the model, data and seed whose values differ, with (before, now)."""
    if isinstance(before, dict) and isinstance(now, dict):
        changes: dict[str, tuple[Any, Any]] = {}
        for name in {**before, **now}:
            if key or name in ("model", "data", "seed_everything"):
                changes |= config_changes(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
        return changes
    return {} if before == now else {key: (before, now)}
