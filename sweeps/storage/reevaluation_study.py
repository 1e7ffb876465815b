"""Study of a re-evaluation: stored beside the claims, so that loading the study of the search does not list it."""

import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler

from sweeps.storage.claims import SUFFIX, storage_beside

NAME = ".reevaluation"
"""End of its name."""


def reevaluation_study(search: optuna.Study) -> optuna.Study:
    """The study that keeps the re-evaluations of another, which is made if it is not there.

    Args:
        search: A study of one metric.
    """
    storage = storage_beside(search._storage)
    name = f"{search.study_name}.{search._study_id}{NAME}"
    for needed in (f"{name}{SUFFIX}", name):  # its claims are kept in the same place
        study = optuna.create_study(
            storage=storage,
            study_name=needed,
            direction=search.direction,
            sampler=RandomSampler(seed=0),
            pruner=NopPruner(),
            load_if_exists=True,
        )
    return study
