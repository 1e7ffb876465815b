"""Enqueued trials: values given to `Study.enqueue_trial(params)` are used as they are, or the trial is refused."""

from collections.abc import Mapping
from typing import Any

import optuna

from lightning_app.errors import UsageError, nearest
from sweeps.space.search_space import SearchSpace


class TrialRefused(ValueError):  # noqa: N818
    """A trial was given values that the space does not have."""


def values_of_trial(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    """Values of the config that a trial has already: enqueued for it, or drawn by an earlier coordinator.

    Args:
        trial: A trial that was asked for, or taken over.
        space: What varies.

    Returns:
        Values by key, as the config takes them; empty for a trial that is new.

    Raises:
        TrialRefused: A key does not vary, a value is outside its bounds or choices, or a condition does not hold.
    """
    held = space.drawn(trial.params)
    for key in trial.params:
        if key not in held:
            raise TrialRefused(_not_there(key, {**trial.params}, space, f"begun with {key} {trial.params[key]!r}"))
    enqueued = {key: value for key, value in trial._fixed_params.items() if key not in held}
    accepted: dict[str, Any] = {}
    known = {parameter.key: parameter for parameter in space.parameters}
    for key, value in enqueued.items():
        if key not in known:
            raise TrialRefused(_not_there(key, {}, space, f"enqueued with {key} {value!r}"))
        try:
            accepted[key] = known[key].accept(value)
        except UsageError as error:
            raise TrialRefused(f"enqueued with {error}") from error
    for parameter in space.parameters:
        if parameter.key in accepted and not parameter.is_active({**held, **accepted}):
            said = f"enqueued with {parameter.key} {enqueued[parameter.key]!r}"
            raise TrialRefused(_not_there(parameter.key, {**held, **accepted}, space, said))
    return {key: {**held, **accepted}[key] for key in known if key in held or key in accepted}


def _not_there(key: str, values: Mapping[str, Any], space: SearchSpace, said: str) -> str:
    known = {parameter.key: parameter for parameter in space.parameters}
    if key not in known:
        return f"{said}, which does not vary{nearest(key, known)}; what varies: {', '.join(known)}"
    for other, condition in (known[key].when or {}).items():
        if other not in values:
            return f"{said}, which is there only where {other} is {condition}: enqueue that value too"
        if not condition.holds(values[other]):
            return f"{said}, which is there only where {other} is {condition}, and not {values[other]!r}"
    return f"{said}, whose conditions do not hold"
