"""What `mlflow.pyfunc.load_model` loads a registered package with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from lightning_app.packaging.runtime.package import Package

if TYPE_CHECKING:
    import pandas as pd


class PackageModel:
    """A package behind MLflow's interface.

    Args:
        package: The package, loaded and verified.
    """

    def __init__(self, package: Package) -> None:
        self.package = package

    def predict(self, model_input: "dict[str, np.ndarray] | pd.DataFrame") -> Any:
        """The answer of the package; streams begin anew with each call.

        Args:
            model_input: Arrays by name, or a table in the layout of the package.

        Returns:
            Arrays by name for arrays, a pandas table for a table.
        """
        if isinstance(model_input, dict):
            return self.package.predict(model_input)
        answer = self.package.predict(pl.DataFrame({name: model_input[name].tolist() for name in model_input.columns}))
        import pandas as pd

        return pd.DataFrame(answer.to_dict(as_series=False), index=model_input.index)


def _load_pyfunc(path: str) -> PackageModel:
    """The function that MLflow looks for.

    Args:
        path: Folder of the package.
    """
    return PackageModel(Package.load(Path(path)))
