"""Samplers for tests, by the words of a sweep's file."""

from typing import Any

from sweeps.choice import Choice
from sweeps.samplers import SAMPLERS, make_sampler
from sweeps.seeded_sampler import SeededSampler
from sweeps.space import SearchSpace


def sampler_of(given: Any, space: SearchSpace, *, seed: int = 0, num_metrics: int = 1) -> SeededSampler:
    return make_sampler(Choice.read("sampler", given, SAMPLERS), seed=seed, space=space, num_metrics=num_metrics)
