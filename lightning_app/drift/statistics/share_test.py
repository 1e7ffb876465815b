"""Share test: whether rows with a property are as frequent in a window as in the reference."""

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr

Array = npt.NDArray[np.float64]

_EXACT = 2000
"""Rows with the property up to which probabilities are summed one by one."""


def share_test(reference: float, rows_reference: float, current: float, rows: float, *, more_only: bool = False
               ) -> tuple[float, float]:  # fmt: skip
    """Fisher's exact test with mid-p-values: given how many rows have the property, which of both samples they are in.

    Args:
        reference: Rows of the reference with the property.
        rows_reference: Rows of the reference.
        current: Rows of the window with it.
        rows: Rows of the window.
        more_only: Whether fewer rows with the property than expected are no finding.

    Returns:
        The p-value, and the smallest one that any outcome with as many rows would have had.
    """
    total = reference + current
    if total <= 0 or total >= rows + rows_reference:
        return 1.0, 1.0
    if min(total, rows + rows_reference - total) > _EXACT:
        return _normal(reference, rows_reference, current, rows, more_only=more_only), 0.0
    counts, probabilities = _hypergeometric(total, rows_reference, rows)
    if not len(counts):  # numbers of effective rows are no whole numbers: less than one row is without the property
        return 1.0, 1.0
    at = int(np.argmin(np.abs(counts - current)))
    upper = probabilities[at + 1 :].sum() + probabilities[at] / 2
    lower = probabilities[:at].sum() + probabilities[at] / 2
    if more_only:
        return float(min(1, upper)), float(probabilities[-1] / 2)
    return float(min(1, 2 * min(upper, lower))), float(min(probabilities[0], probabilities[-1]))


def _hypergeometric(total: float, rows_reference: float, rows: float) -> tuple[Array, Array]:
    """Possible numbers of rows of the window with the property, and their probabilities."""
    counts = np.arange(max(0.0, np.ceil(total - rows_reference)), np.floor(min(total, rows)) + 1)
    logs = _log_choose(rows, counts) + _log_choose(rows_reference, total - counts)
    probabilities = np.exp(logs - logs.max(initial=-np.inf))
    return counts, probabilities / probabilities.sum()


def _normal(reference: float, rows_reference: float, current: float, rows: float, *, more_only: bool) -> float:
    share = (reference + current) / (rows + rows_reference)
    variance = share * (1 - share) * (1 / rows + 1 / rows_reference)
    z_value = (current / rows - reference / rows_reference) / np.sqrt(variance)
    return float(ndtr(-z_value)) if more_only else float(2 * ndtr(-abs(z_value)))


def _log_choose(total: float, chosen: Array) -> Array:
    found: Array = gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1)
    return found
