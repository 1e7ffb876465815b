"""Registration of experiments: a name belongs to one experiment for ever."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from lightning_app.errors import UsageError
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.experiment_config import ExperimentConfig
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.experiments.store import Experiment, ExperimentStore
from lightning_app.serving.journal.stores import open_database

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


def check_registered(config: ServeConfig, models: Sequence[ResolvedModel]) -> None:
    """Refuses configured experiments whose names belong to others.

    Args:
        config: Configuration of a server with a journal.
        models: Packages that it serves, in the order of its models.

    Raises:
        UsageError: One is refused.
        JournalError: The journal cannot be read.
        ValueError: The address of the journal cannot be one.
    """
    names = dict.fromkeys(model.name for model in models)
    configured = [
        (name, model.experiment)
        for name, model in zip(names, config.models, strict=True)
        if model.experiment is not None
    ]
    if not configured or config.journal.url is None:
        return
    with closing(open_database(config.journal.url)) as database:
        store = ExperimentStore(database)
        for name, experiment in configured:
            registered = store.get(experiment.name)
            if registered is not None and (problem := refusal(registered, experiment, model=name)) is not None:
                raise UsageError(f"config: {name}: {problem}")


def shares_of_config(config: ExperimentConfig) -> Mapping[str, float]:
    """Configured share by arm.

    Args:
        config: The experiment.
    """
    return {arm.name: arm.share for arm in config.arms}
