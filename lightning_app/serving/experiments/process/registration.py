"""Registration of experiments: a name belongs to one experiment for ever."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lightning_app.errors import UsageError
from lightning_app.serving.config.experiment_config import ExperimentConfig
from lightning_app.serving.experiments.store import Experiment, ExperimentStore
from lightning_app.serving.journal.stores.database import JournalDatabase

_CHANGEABLE = ("floor", "sharpness", "half_life_seconds", "draws")
"""What may be changed of a policy while it runs; and so may shares."""


def specification(config: ExperimentConfig) -> dict[str, Any]:
    """What makes an experiment the one that it is, as JSON can hold it.

    Args:
        config: The experiment.
    """
    policy = msgspec.to_builtins(config.policy)
    return {
        "arms": {arm.name: arm.model for arm in config.arms},
        "key": config.key,
        "policy": {name: value for name, value in policy.items() if name not in _CHANGEABLE},
        "reward": msgspec.to_builtins(config.reward),
    }


def refusal(experiment: Experiment, config: ExperimentConfig, *, model: str) -> str | None:
    """Why a configured experiment is not the one that has its name; None if it is.

    Args:
        experiment: The experiment that has the name.
        config: The configured experiment.
        model: Name of the model in addresses.
    """
    before = {"model": experiment.model, **experiment.spec}
    given = {"model": model, **specification(config)}
    for name in ("policy", "reward"):  # keys that an earlier version did not know have their defaults
        given[name] = {key: value for key, value in given[name].items() if key in before[name] or key == "kind"}
    different = [name for name in given if before.get(name) != given[name]]
    if not different:
        return None
    name = different[0]
    was, now = (msgspec.json.encode(each.get(name)).decode() for each in (before, given))
    return (
        f"experiment.name: {config.name!r} belongs to an experiment with {name} {was}, {now} given; "
        "a name is never used again, take another"
    )


def check_registered(database: JournalDatabase, configured: Sequence[tuple[str, ExperimentConfig]]) -> None:
    """Refuses configured experiments whose names belong to others.

    Args:
        database: Database of the journal.
        configured: Name of the model in addresses, and its experiment.

    Raises:
        UsageError: One is refused.
        JournalError: The journal cannot be read.
    """
    store = ExperimentStore(database)
    for model, config in configured:
        experiment = store.get(config.name)
        if experiment is not None and (problem := refusal(experiment, config, model=model)) is not None:
            raise UsageError(f"config: {model}: {problem}")


def shares_of_config(config: ExperimentConfig) -> Mapping[str, float]:
    """Configured share by arm.

    Args:
        config: The experiment.
    """
    return {arm.name: arm.share for arm in config.arms}
