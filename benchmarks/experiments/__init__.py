"""Experiments in production: what they decide from simulated traffic, and how their analysis holds."""

from collections.abc import Callable

from benchmarks.experiments import analysis, bandit, canary

SECTIONS: dict[str, Callable[[], str]] = canary.SECTIONS | bandit.SECTIONS | analysis.SECTIONS
