"""Policies by which a sweep names its best, compared by the validation of random configs on several seeds.

usage: sweep_choice.py CONFIG SPACE TRIALS

Fits each config on the seeds of the space's `seeds_per_trial`, takes the standard deviations within and between configs,
and draws sweeps from normal distributions with these: so every policy is tried on thousands of sweeps.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

BUDGETS = (30, 60, 120)
SWEEPS = 20_000
POLICIES = {
    "one seed per trial": (1, 0, 0),
    "seeds_per_trial: 2": (2, 0, 0),
    "seeds_per_trial: 3": (3, 0, 0),
    "seeds_per_trial: 5": (5, 0, 0),
    "reevaluate: {top: 3, seeds: 3}": (1, 3, 3),
    "reevaluate: {top: 3, seeds: 5}": (1, 3, 5),
    "reevaluate: {top: 5, seeds: 3}": (1, 5, 3),
    "reevaluate: {top: 5, seeds: 5}": (1, 5, 5),
    "reevaluate: {top: 5, seeds: 10}": (1, 5, 10),
    "reevaluate: {top: 10, seeds: 5}": (1, 10, 5),
    "seeds_per_trial: 2, reevaluate: {top: 5, seeds: 5}": (2, 5, 5),
}
"""Seeds per trial, candidates of a re-evaluation beside the base config, seeds of each."""


def gain(policy: tuple[int, int, int], budget: int, *, within: float, between: float) -> float | None:
    """By how much the config that is named is better than a random one, in the mean over many sweeps.

    Args:
        policy: As in `POLICIES`; the base config is taken to be as good as a random one.
        budget: Fits of the whole sweep.
        within: Standard deviation between seeds of one config.
        between: Standard deviation between the means of configs.

    Returns:
        None where the budget is too small.
    """
    seeds, top, fresh = policy
    trials = (budget - (top + 1) * fresh * bool(top)) // seeds
    if trials < max(5, top):
        return None
    rng = np.random.default_rng(0)
    means = rng.normal(0, between, (SWEEPS, trials))
    found = means + rng.normal(0, within / seeds**0.5, means.shape)
    if top:
        chosen = np.take_along_axis(means, np.argsort(-found, axis=1)[:, :top], axis=1)
        means = np.concatenate([np.zeros((SWEEPS, 1)), chosen], axis=1)
        found = means + rng.normal(0, within / fresh**0.5, means.shape)
    return float(np.take_along_axis(means, found.argmax(axis=1)[:, None], axis=1).mean())


def main(config: str, space: str, trials: str) -> None:
    import optuna

    from lightning_app.__main__ import main as lightning_app
    from sweeps.reporting.outcome import Fits
    from sweeps.storage.study_storage import open_storage

    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        words = ["sweep", "-c", config, "--space", space, "--trials", trials, "--workers", "2", "--root", root]
        assert lightning_app([*words, "--", "--seed_everything", "100"]) == 0
        study = optuna.load_study(study_name=None, storage=open_storage(None, next(Path(root).glob("sweeps/*"))))
        fits = [Fits.of(trial) for trial in study.trials]
    values = np.array([[value for (value,) in found.values] for found in fits if found is not None])
    within = float(np.sqrt(values.var(axis=1, ddof=1).mean()))
    between = float(np.sqrt(max(0.0, values.mean(axis=1).var(ddof=1) - within**2 / values.shape[1])))
    policies = [
        {"name": name, "gains": [gain(policy, budget, within=within, between=between) for budget in BUDGETS]}
        for name, policy in POLICIES.items()
    ]
    answer = {
        "trials": values.shape[0], "seeds": values.shape[1], "within": within, "between": between,
        "budgets": BUDGETS, "policies": policies,
    }  # fmt: skip
    print(json.dumps(answer))


if __name__ == "__main__":
    os.environ["WANDB_MODE"] = "disabled"
    main(*sys.argv[1:4])
