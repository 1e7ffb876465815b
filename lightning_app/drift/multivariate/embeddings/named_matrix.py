"""NamedMatrix: a row of numbers for each value of a column, and what each number is."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class NamedMatrix(NamedTuple):
    """Values of a column as numbers.

    Attributes:
        values: (rows, d), NaN where a value is missing.
        names: What each of the d is.
        note: What was cut or left out; None if nothing was.
    """

    values: Array
    names: tuple[str, ...]
    note: str | None = None
