"""ScaledLogistic: logistic regression on standardised columns."""

from typing import Any

import numpy as np


class ScaledLogistic:
    """Estimator of scikit-learn behind a scaler."""

    def __init__(self) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._pipeline = make_pipeline(StandardScaler(), LogisticRegression())

    def fit(self, x: np.ndarray, y: np.ndarray) -> "ScaledLogistic":
        """Fits to rows.

        Args:
            x: Columns (N, F).
            y: Classes (N,).
        """
        self._pipeline.fit(x, y)
        return self

    def predict(self, x: np.ndarray) -> Any:
        """Likeliest classes.

        Args:
            x: Columns (N, F).
        """
        return self._pipeline.predict(x)
