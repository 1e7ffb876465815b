"""Fitted pools: the errors of their members on validation and test."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.ensembles.pools import pools
from benchmarks.measure import run

FITS = "BENCHMARK_FITS"
"""Variable of the environment that names a folder in which fits are kept."""


@dataclass(frozen=True)
class FittedPool:
    """Members of a pool after their fits.

    Attributes:
        title: Series and horizon.
        names: Of the members.
        horizon: Forecast rows.
        products: Sums of the products of the members' errors by window, (N, M, M), on `val` and `test`.
        values: Errors in a window.
        cpu_seconds: Of all fits.
    """

    title: str
    names: list[str]
    horizon: int
    products: dict[str, Tensor]
    values: int
    cpu_seconds: float

    def errors(self, split: str) -> list[float]:
        """MSE of each member on a split."""
        return (self.products[split].diagonal(dim1=1, dim2=2).mean(dim=0) / self.values).tolist()


def fitted(names: Sequence[str]) -> list[FittedPool]:
    """Fits pools in a process of its own; below `$BENCHMARK_FITS`, if it is set, fits are kept and taken again.

    Args:
        names: Of the pools.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = os.environ.get(FITS, temporary)
        answer, known = run("ensemble_pools", root, *names).answer, pools(temporary)
        return [
            FittedPool(
                title=known[name].title,
                names=list(found["seconds"]),
                horizon=known[name].horizon,
                products=torch.load(found["products"], weights_only=True),
                values=found["values"],
                cpu_seconds=sum(found["seconds"].values()),
            )
            for name, found in answer.items()
        ]


def cost(found: Sequence[FittedPool]) -> str:
    """What the fits cost, in words."""
    kept = "; they were made before and kept, the time below is without them" if FITS in os.environ else ""
    return f"\n\nThe fits took {sum(pool.cpu_seconds for pool in found):,.0f} CPU s{kept}."
