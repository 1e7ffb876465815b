"""Samplers for tests, by the words of a sweep's file."""

from typing import Any

from sweeps.sampling.component_spec import ComponentSpec
from sweeps.sampling.samplers import SAMPLERS, make_sampler
from sweeps.sampling.seeded_sampler import SeededSampler
from sweeps.space.search_space import SearchSpace


def sampler_of(given: Any, space: SearchSpace, *, seed: int = 0, num_metrics: int = 1) -> SeededSampler:
    return make_sampler(ComponentSpec.read("sampler", given, SAMPLERS), seed=seed, space=space, num_metrics=num_metrics)
