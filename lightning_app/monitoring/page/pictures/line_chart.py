"""Line chart: values over time with their intervals, reference lines and event marks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element, joined
from lightning_app.monitoring.page.pictures.axes import Scale, path, pixel, ticks, time_ticks
from lightning_app.monitoring.page.pictures.marks import LETTER, ROW, Mark, draw_marks, place_marks, rows_of
from lightning_app.monitoring.page.pictures.readings import Reading, draw_readings

_LEFT, _RIGHT, _BOTTOM = 52, 16, 24


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value of a line.

    Attributes:
        time: Unix seconds, the middle of its window.
        value: The value; None interrupts the line.
        low: Lower end of its interval.
        high: Upper end.
        is_open: Whether it is not yet final: drawn as an open circle.
        text: Shown under the pointer.
    """

    time: float
    value: float | None
    low: float | None = None
    high: float | None = None
    is_open: bool = False
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a chart.

    Attributes:
        name: Name in the legend.
        points: In the order of time.
        style: CSS class with its colour, e.g. `tone-0`.
        is_dashed: Whether it is an estimate.
    """

    name: str
    points: Sequence[Point]
    style: str
    is_dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line.

    Attributes:
        value: Where it is.
        label: What it is.
        style: CSS class with its colour.
    """

    value: float
    label: str
    style: str


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    since: float,
    until: float,
    width: int,
    height: int = 250,
    levels: Sequence[Level] = (),
    marks: Sequence[Mark] = (),
    judged: tuple[float, float] | None = None,
) -> Markup:
    """A chart of lines over time.

    Args:
        lines: The lines.
        label: What the picture shows, in words, for those who do not see it.
        since: First moment.
        until: Last moment.
        width: Pixels.
        height: Pixels, without the labels of events.
        levels: Horizontal lines.
        marks: Events.
        judged: Window that is shaded.
    """
    x = Scale(low=since, high=until, start=_LEFT, end=width - _RIGHT)
    placed = place_marks(marks, x)
    top = ROW * rows_of(placed) + 8
    bottom = top + height - _BOTTOM
    values = ticks(*_range(lines, levels))
    y = Scale(low=values[0], high=values[-1], start=bottom, end=top)
    parts = [shade(judged, x, top=top, bottom=bottom), grid(values, y, x), time_axis(x, bottom, width)]
    parts.extend(_band(line, x, y) for line in lines)
    parts.append(draw_marks(placed, bottom=bottom))
    highest = max((level.value for level in levels), default=0.0)
    parts.extend(_level(level, x, y, is_highest=level.value == highest) for level in levels)
    parts.extend(_line(line, x, y) for line in lines)
    parts.append(draw_readings(_readings(lines, y), x, top=top, bottom=bottom))
    return frame(parts, width=width, height=top + height, label=label)


def frame(parts: Sequence[Markup], *, width: int, height: float, label: str) -> Markup:
    """The picture around its parts.

    Args:
        parts: Elements, the lowest first.
        width: Pixels.
        height: Pixels.
        label: What the picture shows, in words.
    """
    size = {"viewBox": f"0 0 {width} {pixel(height)}", "width": width, "height": pixel(height)}
    return element("svg", {"class": "chart", "role": "img", "aria-label": label, **size}, *parts)


def grid(values: Sequence[float], y: Scale, x: Scale) -> Markup:
    """Lines and numbers of the upright axis.

    Args:
        values: Ticks.
        y: Scale of values.
        x: Scale of time.
    """
    drawn = []
    for value, name in zip(values, words.tick_names(values), strict=True):
        at = pixel(y(value))
        drawn.append(element("path", {"class": "grid", "d": f"M{pixel(x.start)} {at}H{pixel(x.end)}"}))
        drawn.append(element("text", {"x": pixel(x.start - 7), "y": pixel(y(value) + 4), "text-anchor": "end"}, name))
    return joined(drawn)


def time_axis(x: Scale, bottom: float, width: int) -> Markup:
    """Labels of time below a picture.

    Args:
        x: Scale of time.
        bottom: Pixel of the axis.
        width: Pixels of the picture.
    """
    drawn = []
    for time, text in time_ticks(x.low, x.high, most=max(2, round((x.end - x.start) / 85))):
        half = LETTER * len(text) / 2 + 1
        at = min(max(x(time), half), width - half)
        drawn.append(element("path", {"class": "grid", "d": f"M{pixel(x(time))} {pixel(bottom)}v4"}))
        drawn.append(element("text", {"x": pixel(at), "y": pixel(bottom + 17), "text-anchor": "middle"}, text))
    return joined(drawn)


def shade(judged: tuple[float, float] | None, x: Scale, *, top: float, bottom: float) -> Markup:
    """The window that is judged, as a shaded area; nothing where it is all of the picture.

    Args:
        judged: Its ends; None shades nothing.
        x: Scale of time.
        top: Upper pixel.
        bottom: Lower pixel.
    """
    if judged is None or judged[0] <= x.low:
        return Markup("")
    start, end = x(judged[0]), x(judged[1])
    area = {"x": pixel(start), "y": pixel(top), "width": pixel(end - start), "height": pixel(bottom - top)}
    return element("rect", {"class": "judged", **area}, element("title", None, "the window that is judged"))


def _range(lines: Sequence[Line], levels: Sequence[Level]) -> tuple[float, float]:
    """Ends of the values; very wide intervals are cut off, as they would flatten the lines."""
    points = [point for line in lines for point in line.points]
    values = [point.value for point in points if point.value is not None] + [level.value for level in levels]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = 0.5 * ((high - low) or abs(high) or 1.0)
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    return min([low, *(max(end, low - room) for end in ends)]), max([high, *(min(end, high + room) for end in ends)])


def _runs(line: Line) -> Iterator[list[Point]]:
    """Runs of points that have an interval."""
    run: list[Point] = []
    for point in line.points:
        if point.value is not None and point.low is not None and point.high is not None:
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _band(line: Line, x: Scale, y: Scale) -> Markup:
    drawn = []
    for run in _runs(line):
        if len(run) == 1:
            at = pixel(x(run[0].time))
            d = f"M{at} {pixel(y(run[0].low or 0.0))}V{pixel(y(run[0].high or 0.0))}"
            drawn.append(element("path", {"class": f"whisker {line.style}", "d": d}))
            continue
        there = [(x(point.time), y(point.high or 0.0)) for point in run]
        back = [(x(point.time), y(point.low or 0.0)) for point in reversed(run)]
        drawn.append(element("path", {"class": f"band {line.style}", "d": f"{path([*there, *back])}Z"}))
    return joined(drawn)


def _line(line: Line, x: Scale, y: Scale) -> Markup:
    places = [None if point.value is None else (x(point.time), y(point.value)) for point in line.points]
    kind = f"line {line.style}{' dashed' if line.is_dashed else ''}"
    drawn = [element("path", {"class": kind, "d": path(places)})]
    for point, place in zip(line.points, places, strict=True):
        if place is not None and not line.is_dashed:
            kind = f"dot {line.style}{' open' if point.is_open else ''}"
            drawn.append(element("circle", {"class": kind, "cx": pixel(place[0]), "cy": pixel(place[1]), "r": 2.6}))
    return joined(drawn)


def _level(level: Level, x: Scale, y: Scale, *, is_highest: bool) -> Markup:
    """A level with its name: above the highest one, below all others, so that two do not overlap."""
    at = y(level.value)
    line = element("path", {"class": f"level {level.style}", "d": f"M{pixel(x.start)} {pixel(at)}H{pixel(x.end)}"})
    text = {"class": "level-name", "x": pixel(x.start + 5), "y": pixel(at - 5 if is_highest else at + 13)}
    return joined([line, element("text", text, level.label)])


def _readings(lines: Sequence[Line], y: Scale) -> list[Reading]:
    by_time: dict[float, Reading] = {}
    for line in lines:
        for point in line.points:
            if point.value is None:
                continue
            reading = by_time.setdefault(point.time, Reading(time=point.time))
            reading.dots.append((y(point.value), line.style))
            reading.texts.append(f"{line.name}: {point.text or words.number(point.value)}")
    return [by_time[time] for time in sorted(by_time)]
