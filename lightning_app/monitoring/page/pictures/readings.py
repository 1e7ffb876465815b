"""Readings of pictures: values under the pointer, shown by CSS alone, as reports run no scripts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element, joined
from lightning_app.monitoring.page.pictures.axes import Scale, pixel
from lightning_app.monitoring.page.pictures.marks import LETTER

_ROW = 16


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Values at one time.

    Attributes:
        time: Unix seconds.
        dots: Pixel and CSS class of each value.
        texts: A line for each value.
        title: First line; None writes the time.
    """

    time: float
    dots: list[tuple[float, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    title: str | None = None


def draw_readings(readings: Sequence[Reading], x: Scale, *, top: float, bottom: float) -> Markup:
    """Boxes that appear where the pointer is.

    Args:
        readings: In the order of time.
        x: Scale of time.
        top: Upper pixel of the area.
        bottom: Lower pixel.
    """
    places = [x(reading.time) for reading in readings]
    borders = [x.start, *((one + other) / 2 for one, other in pairwise(places)), x.end]
    return joined(
        _reading(reading, place, x, start=borders[index], end=borders[index + 1], top=top, bottom=bottom)
        for index, (reading, place) in enumerate(zip(readings, places, strict=True))
    )


def _reading(
    reading: Reading, place: float, x: Scale, *, start: float, end: float, top: float, bottom: float
) -> Markup:
    at = pixel(place)
    area = {"x": pixel(start), "y": pixel(top), "width": pixel(end - start), "height": pixel(bottom - top)}
    lines = [reading.title or f"{words.moment(reading.time)} UTC", *reading.texts]
    width = min(LETTER * max(map(len, lines)) + 18, x.end - x.start)
    left = place - width - 10 if place > (x.start + x.end) / 2 else place + 10
    left = min(max(left, x.start), x.end - width)
    box = {"x": pixel(left), "y": pixel(top + 4), "width": pixel(width), "height": _ROW * len(lines) + 10, "rx": 4}
    texts = [
        element("tspan", {"x": pixel(left + 9), "dy": _ROW if row else None, "class": None if row else "strong"}, line)
        for row, line in enumerate(lines)
    ]
    dots = [element("circle", {"class": f"dot {style}", "cx": at, "cy": pixel(y), "r": 4}) for y, style in reading.dots]
    shown = element("g", {"class": "shown"},
        element("path", {"class": "cross", "d": f"M{at} {pixel(top)}V{pixel(bottom)}"}),
        *dots,
        element("rect", {"class": "box", **box}),
        element("text", {"y": pixel(top + 20)}, *texts),
    )  # fmt: skip
    return element("g", {"class": "reading"}, element("rect", {"class": "hit", **area}), shown)
