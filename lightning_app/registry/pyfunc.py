"""MLflow pyfunc loader: `mlflow.pyfunc.load_model` loads a registered package through this module.

Registered versions store its import path, so the module must stay where it is.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from lightning_app.packaging.runtime.package import Package
from lightning_app.packaging.runtime.requests.raw_request import is_raw

if TYPE_CHECKING:
    import pandas as pd


class PackageModel:
    """A package behind MLflow's pyfunc interface.

    Args:
        package: Loaded and verified package.
    """

    def __init__(self, package: Package) -> None:
        self.package = package

    def predict(self, model_input: "dict[str, np.ndarray] | pd.DataFrame") -> Any:
        """Predicts with the package; streams start from their initial state in every call.

        Args:
            model_input: Arrays by input name, or a table in the layout of the package.

        Returns:
            Arrays by output name for arrays, a pandas table for a table.
        """
        if isinstance(model_input, dict):
            return self.package.predict(model_input)
        table = pl.DataFrame({name: model_input[name].tolist() for name in model_input.columns})
        answer = self.package.predict(table)
        import pandas as pd

        # Raw rows that are answered together have answers with rows of their own.
        raw_input = self.package.predictor.raw_input
        together = raw_input is not None and not raw_input.by_row and is_raw(table.columns, self.package.manifest)
        index = None if together else model_input.index
        return pd.DataFrame(answer.to_dict(as_series=False), index=index)


def _load_pyfunc(path: str) -> PackageModel:
    """Entry point that MLflow calls.

    Args:
        path: Folder of the package.
    """
    return PackageModel(Package.load(Path(path)))
