"""Histogram pair: how a number was distributed in the reference, and how it is now, in one picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element
from lightning_app.monitoring.page.pictures.axes import Scale, pixel

_BINS = 26
_TAIL = 0.005
"""Share at each end of the wider of the two distributions that the picture puts in its outermost bins."""
_LABELS = 15
Numbers = npt.NDArray[np.float64]


def histogram_pair(
    edges: Sequence[float],
    then: Sequence[float],
    now: Sequence[float],
    *,
    name: str,
    width: int = 210,
    height: int = 72,
) -> Markup:
    """The reference as an area, the window as a line, each as shares of its rows.

    Args:
        edges: Ends of the bins, of any width, in rising order; one more than bins.
        then: Rows of the reference by bin.
        now: Rows of the window by bin.
        name: Name of the column.
        width: Pixels.
        height: Pixels.
    """
    ends = _rising(edges)
    counts = [np.asarray(one, dtype=np.float64) for one in (then, now)]
    low, high = _range(ends, counts)
    even = np.linspace(low, high, _BINS + 1)
    shares = [_even_bins(ends, one, even) for one in counts]
    largest = max(float(one.max()) for one in shares) or 1.0
    x = Scale(low=low, high=high, start=1, end=width - 1)
    y = Scale(low=0, high=largest, start=height - _LABELS, end=3)
    bottom = pixel(y.start)
    area, line = (_steps(even, one, x, y) for one in shares)
    median = [_median(ends, one) for one in counts]
    text = (
        f"{name}, reference and window: median {words.number(median[0])} then, {words.number(median[1])} now; "
        f"drawn from {words.number(low, 2)} to {words.number(high, 2)}"
    )
    right = {"x": width - 1, "y": height - 3, "text-anchor": "end"}
    return element("svg",
        {"class": "small", "role": "img", "aria-label": text, "viewBox": f"0 0 {width} {height}", "width": width,
         "height": height},
        element("title", None, text),
        element("path", {"class": "then", "d": f"M{pixel(x.start)} {bottom}{area}V{bottom}Z"}),
        element("path", {"class": "now-area", "d": f"M{pixel(x.start)} {bottom}{line}V{bottom}Z"}),
        element("path", {"class": "now", "d": f"M{pixel(x.start)} {bottom}{line}V{bottom}"}),
        element("path", {"class": "grid", "d": f"M0 {bottom}H{width}"}),
        element("text", {"x": 1, "y": height - 3}, words.number(low, 2)),
        element("text", right, words.number(high, 2)),
    )  # fmt: skip


def _rising(edges: Sequence[float]) -> Numbers:
    """Ends of bins; a bin of a single value gets a small width."""
    ends = np.maximum.accumulate(np.asarray(edges, dtype=np.float64))
    width = (ends[-1] - ends[0]) or abs(ends[0]) or 1.0
    return np.asarray(ends + np.arange(len(ends)) * 1e-7 * width)


def _range(edges: Numbers, counts: Sequence[Numbers]) -> tuple[float, float]:
    """Ends of the picture: of both distributions, without their thin tails."""
    filled = [one for one in counts if one.sum() > 0]
    if not filled:
        return float(edges[0]), float(edges[-1])
    ends = []
    for one in filled:
        reached = np.concatenate([[0.0], np.cumsum(one) / one.sum()])
        ends.append((_quantile(edges, reached, _TAIL), _quantile(edges, reached, 1 - _TAIL)))
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _quantile(edges: Numbers, reached: Numbers, share: float) -> float:
    return float(np.interp(share, reached, edges))


def _median(edges: Numbers, counts: Numbers) -> float | None:
    if counts.sum() <= 0:
        return None
    return _quantile(edges, np.concatenate([[0.0], np.cumsum(counts) / counts.sum()]), 0.5)


def _even_bins(edges: Numbers, counts: Numbers, even: Numbers) -> Numbers:
    """Shares in bins of one width: rows are spread evenly over their bin; what lies beyond is in the outermost."""
    total = counts.sum()
    if total <= 0:
        return np.zeros(len(even) - 1)
    reached = np.interp(even, edges, np.concatenate([[0.0], np.cumsum(counts)]))
    reached[0], reached[-1] = 0.0, total
    return np.asarray(np.diff(reached) / total)


def _steps(even: Numbers, shares: Numbers, x: Scale, y: Scale) -> str:
    """Path along the tops of bins, from the left to the right."""
    tops = zip(even[1:].tolist(), shares.tolist(), strict=True)
    return "".join(f"V{pixel(y(share))}H{pixel(x(end))}" for end, share in tops)
