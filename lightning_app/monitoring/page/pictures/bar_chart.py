"""Bar chart: counts by window, stacked by version."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element
from lightning_app.monitoring.page.pictures.axes import Scale, pixel, ticks
from lightning_app.monitoring.page.pictures.line_chart import frame, grid, shade, time_axis
from lightning_app.monitoring.page.pictures.marks import ROW, Mark, draw_marks, place_marks, rows_of
from lightning_app.monitoring.page.pictures.readings import Reading, draw_readings

_LEFT, _RIGHT, _BOTTOM = 52, 16, 24


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Counts of one window.

    Attributes:
        since: First moment, Unix seconds.
        until: First moment after it.
        counts: Name, CSS class and count of each part, the lowest first.
    """

    since: float
    until: float
    counts: Sequence[tuple[str, str, float]]


def bar_chart(
    stacks: Sequence[Stack],
    *,
    label: str,
    since: float,
    until: float,
    width: int,
    height: int = 150,
    marks: Sequence[Mark] = (),
    judged: tuple[float, float] | None = None,
) -> Markup:
    """A chart of stacked bars over time.

    Args:
        stacks: Bars in the order of time.
        label: What the picture shows, in words.
        since: First moment.
        until: Last moment.
        width: Pixels.
        height: Pixels, without the labels of events.
        marks: Events.
        judged: Window that is shaded.
    """
    x = Scale(low=since, high=until, start=_LEFT, end=width - _RIGHT)
    placed = place_marks(marks, x)
    top = ROW * rows_of(placed) + 8
    bottom = top + height - _BOTTOM
    values = ticks(0.0, max((sum(count for *_, count in one.counts) for one in stacks), default=1.0), most=3)
    y = Scale(low=0.0, high=values[-1], start=bottom, end=top)
    drawn, readings = [], []
    for stack in stacks:
        start, end = x(stack.since), x(stack.until)
        gap = min(2.0, (end - start) / 5)
        base = 0.0
        reading = Reading(time=(stack.since + stack.until) / 2, title=_span(stack))
        for name, style, value in stack.counts:
            low, high = y(base), y(base + value)
            area = f"M{pixel(start + gap / 2)} {pixel(low)}V{pixel(high)}H{pixel(end - gap / 2)}V{pixel(low)}Z"
            drawn.append(element("path", {"class": f"bar {style}", "d": area}))
            reading.texts.append(f"{name}: {words.number(value)}")
            base += value
        readings.append(reading)
    parts = [
        shade(judged, x, top=top, bottom=bottom), grid(values, y, x), time_axis(x, bottom, width), *drawn,
        draw_marks(placed, bottom=bottom), draw_readings(readings, x, top=top, bottom=bottom),
    ]  # fmt: skip
    return frame(parts, width=width, height=top + height, label=label)


def _span(stack: Stack) -> str:
    return f"{words.start_of(stack.since, stack.until - stack.since)}, {words.span(stack.until - stack.since)}"
