"""Sparkline: a small line without axes, with dots where a column drifted."""

from collections.abc import Sequence

from lightning_app.monitoring.page.markup import Markup, element
from lightning_app.monitoring.page.pictures.axes import Scale, path, pixel


def sparkline(
    values: Sequence[float | None],
    *,
    label: str,
    dots: Sequence[bool] = (),
    least: float = 0.0,
    width: int = 96,
    height: int = 30,
) -> Markup:
    """A line of values, evenly spaced, from zero upwards.

    Args:
        values: The values; None interrupts the line.
        label: What the picture shows, in words.
        dots: For each value whether it has a dot.
        least: The largest value that fills the picture at least, so that noise is not drawn as mountains.
        width: Pixels.
        height: Pixels.
    """
    known = [value for value in values if value is not None]
    x = Scale(low=0, high=max(len(values) - 1, 1), start=3, end=width - 3)
    y = Scale(low=0, high=max([least, *known]) or 1.0, start=height - 3, end=3)
    places = [None if value is None else (x(place), y(value)) for place, value in enumerate(values)]
    marked = [place for place, has_dot in zip(places, dots, strict=False) if has_dot and place is not None]
    size = {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    drawn = [
        element("path", {"class": "grid", "d": f"M0 {height - 3}H{width}"}),
        element("path", {"class": "spark", "d": path(places)}),
    ]
    # A path of one point draws a round dot with round line ends.
    drawn.append(element("path", {"class": "spark-dot", "d": "".join(f"M{pixel(a)} {pixel(b)}h0" for a, b in marked)}))
    return element("svg", {"class": "small", "role": "img", "aria-label": label, **size}, *drawn)
