"""Learner: what fits the models of a replay, and measures their errors."""

from abc import ABC, abstractmethod

import numpy as np

from lightning_app.errors import UsageError


class FitFailedError(UsageError):
    """A fit failed; the replay goes on with the model that there is."""


class Fitted(ABC):
    """A fitted model."""

    @abstractmethod
    def errors(self, rows: np.ndarray) -> np.ndarray:
        """Errors on rows.

        Args:
            rows: Their places (N,), ascending.

        Returns:
            Errors (N,); NaN of rows that are not answered.
        """


class Learner(ABC):
    """Fits models to rows of the replay.

    Attributes:
        error_name: What the errors are.
        cpu_seconds: CPU time of all fits so far.
    """

    error_name: str
    cpu_seconds: float = 0.0

    @abstractmethod
    def fit(self, rows: np.ndarray) -> Fitted:
        """Fits a model.

        Args:
            rows: Places of the rows (N,), ascending.

        Raises:
            FitFailedError: It cannot be fitted to these rows.
        """
