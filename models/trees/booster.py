"""Booster: a library that fits gradient-boosted trees, behind one interface."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

from models.trees.objective import Objective
from models.trees.tree_arrays import TreeArrays

EXTRA = "boosted"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TreeTable:
    """Rows to fit trees on: the numbers, then the categories, then the vectors of a row side by side.

    Attributes:
        columns: float32 (N, columns), NaN where missing, categories as whole numbers.
        targets: As the objective takes them, float64 or int64 (N,).
        weights: Of the rows, (N,); None for equal ones.
        cardinalities: Number of categories by column, for those that are categories.
        monotone: 1 for rising, -1 for falling predictions by column, 0 without a constraint, (columns,).
    """

    columns: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    cardinalities: Mapping[int, int]
    monotone: np.ndarray


@dataclass(frozen=True, kw_only=True)
class FittedTrees:
    """What a booster fitted, up to its best round.

    Attributes:
        trees: The trees.
        gain: Decrease of the training loss by the splits on each column, (columns,).
        outputs: Outputs of the library itself for some rows, (N, columns) -> (N, num_outputs).
    """

    trees: TreeArrays
    gain: np.ndarray
    outputs: Callable[[np.ndarray], np.ndarray]


class Rounds:
    """Early stopping: follows the validation loss, and says when to stop.

    Args:
        most: Rounds at most.
        patience: Rounds without a lower loss after which fitting stops; None to take all rounds.
        on_round: Is told the number of each round, from 1, and its loss; returns whether to stop.

    Attributes:
        best: Number of the round with the lowest loss, from 1; 0 before the first.
        best_loss: Its loss.
        last: Number of the last round.
    """

    def __init__(self, *, most: int, patience: int | None, on_round: Callable[[int, float], bool]) -> None:
        self.most = most
        self.patience = patience
        self._on_round = on_round
        self.best = 0
        self.best_loss = float("inf")
        self.last = 0

    def ends_with(self, loss: float) -> bool:
        """Takes the validation loss of the next round; whether it is the last one.

        Raises:
            ValueError: The loss is not finite.
        """
        self.last += 1
        if not np.isfinite(loss):
            raise ValueError(
                f"model.booster: the validation loss is {loss} after round {self.last}; lower learning_rate"
            )
        if loss < self.best_loss:
            self.best, self.best_loss = self.last, loss
        stop = self._on_round(self.last, loss)
        patient = self.patience is None or self.last - self.best < self.patience
        return stop or not patient or self.last >= self.most


class Booster(ABC):
    """Settings of a library that fits gradient-boosted trees.

    Args:
        rounds: Rounds at most.
        learning_rate: Share of each tree that is added.
        patience: Rounds without a lower validation loss after which fitting stops; None to take all rounds. The trees
            up to the round with the lowest loss are kept.
        seed: Of the library's random numbers; None for that of the run.
        threads: Of the library; None for as many as torch takes (`OMP_NUM_THREADS`).
        parameters: Further parameters of the library, by its own names.
    """

    requirement: str
    """Module of the library."""
    reserved: frozenset[str] = frozenset()
    """Parameters that are settings of their own."""

    def __init__(
        self,
        *,
        rounds: int,
        learning_rate: float,
        patience: int | None,
        seed: int | None,
        threads: int | None,
        parameters: Mapping[str, Any] | None,
    ) -> None:
        for name, value in (("rounds", rounds), ("patience", patience), ("threads", threads)):
            if value is not None and value < 1:
                raise ValueError(f"model.booster.{name}: {value} given, at least 1 is needed")
        if not learning_rate > 0:
            raise ValueError(f"model.booster.learning_rate: {learning_rate} given, a number above 0 is needed")
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.patience = patience
        self.seed = seed
        self.threads = threads
        self.parameters = dict(parameters or {})
        if taken := sorted(self.parameters.keys() & self.reserved):
            raise ValueError(f"model.booster.parameters: {', '.join(taken)} given, which other settings decide")

    def loss_name(self, objective: Objective, names: Mapping[str, T]) -> T:
        """The library's name of a loss.

        Args:
            objective: The loss.
            names: Names of the losses that the library has.

        Raises:
            ValueError: It does not have this one.
        """
        if objective.name not in names:
            raise ValueError(
                f"model.booster: {type(self).__name__} has no {objective.name} loss; take LightGBM, or another loss"
            )
        return names[objective.name]

    def library(self, module: str | None = None) -> Any:
        """The library.

        Raises:
            ModuleNotFoundError: It is not installed.
        """
        try:
            return import_module(module or self.requirement)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"model.booster: {type(self).__name__} needs {self.requirement}: "
                f"pip install 'lightning-r2p[{self.extra}]'"
            ) from error

    extra: str = EXTRA
    """Extra of the project that installs the library."""

    @abstractmethod
    def fit(
        self, train: TreeTable, val: TreeTable, *, objective: Objective, rounds: Rounds, seed: int, threads: int
    ) -> FittedTrees:
        """Fits trees.

        Args:
            train: Rows to fit on.
            val: Rows whose loss stops the fit.
            objective: The loss.
            rounds: Is told of each round.
            seed: Of random numbers.
            threads: To fit with.
        """
