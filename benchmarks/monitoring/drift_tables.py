"""Tables without drift: columns of every kind, of independent rows or of a series in time order."""

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.signal import lfilter
from scipy.special import ndtr

Array = npt.NDArray[np.float64]

_SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015])
_NAMES = np.array(list("abcdefgh"))


def mixed_table(random: np.random.Generator, rows: int, *, autocorrelation: float) -> pl.DataFrame:
    """20 columns: 10 numbers, 2 counts, 3 with 8 categories, one with thousands, a boolean, one with gaps, answer, outcome.

    Args:
        random: Source of the rows.
        rows: Number of rows.
        autocorrelation: Of one row and the next; 0 for independent rows.
    """
    latent = _series(random, rows, 20, autocorrelation)
    columns: dict[str, pl.Series] = {}
    for place in range(7):
        columns[f"number{place}"] = pl.Series(latent[:, place])
    for place in range(7, 10):
        columns[f"skewed{place}"] = pl.Series(np.exp(latent[:, place]))
    for place in range(10, 12):
        columns[f"count{place}"] = pl.Series(np.floor(np.exp(latent[:, place] / 2 + 1)))
    for place in range(12, 15):
        columns[f"category{place}"] = pl.Series(_NAMES[np.searchsorted(np.cumsum(_SHARES), ndtr(latent[:, place]))])
    columns["many"] = pl.Series(np.minimum(random.zipf(1.6, rows), 10**6)).cast(pl.String)
    columns["flag"] = pl.Series(latent[:, 15] > 1)
    columns["gaps"] = pl.select(pl.when(pl.Series(latent[:, 16] < 1.7)).then(pl.Series(latent[:, 17]))).to_series()
    columns["prediction.value"] = pl.Series((latent[:, 0] + latent[:, 18]).astype(np.float32))
    columns["outcome"] = pl.Series(latent[:, 0] + latent[:, 18] + latent[:, 19])
    return pl.DataFrame(columns)


def _series(random: np.random.Generator, rows: int, columns: int, autocorrelation: float) -> Array:
    """Gaussian autoregressions of order 1 with variance 1, [rows, columns]."""
    noise = random.normal(size=(rows, columns))
    noise[1:] *= np.sqrt(1 - autocorrelation**2)
    found: Array = lfilter([1.0], [1.0, -autocorrelation], noise, axis=0)
    return found
