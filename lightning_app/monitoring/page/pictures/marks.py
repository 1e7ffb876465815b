"""Event marks of pictures over time: vertical lines with labels that do not overlap, and the window that is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element, joined
from lightning_app.monitoring.page.pictures.axes import Scale, pixel

LETTER = 6.5
"""Width of a letter in pixels at the size of labels, about."""
ROW = 15
"""Height of a row of labels in pixels."""
_MOST_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An event.

    Attributes:
        time: Unix seconds.
        label: A few letters.
        text: One line, shown under the pointer.
    """

    time: float
    label: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PlacedMark:
    """An event with the place of its label.

    Attributes:
        mark: The event.
        x: Pixel of its line.
        row: Row of its label; None where there was no room.
        is_left: Whether the label stands left of the line.
    """

    mark: Mark
    x: float
    row: int | None
    is_left: bool


def place_marks(marks: Sequence[Mark], x: Scale) -> list[PlacedMark]:
    """Events inside the picture, each with a row for its label.

    Args:
        marks: Events.
        x: Scale of time.
    """
    placed: list[PlacedMark] = []
    ends: list[float] = []
    for mark in sorted(marks, key=lambda mark: mark.time):
        if not x.low <= mark.time <= x.high:
            continue
        at, width = x(mark.time), LETTER * len(mark.label) + 10
        is_left = at + width > x.end
        start = at - width if is_left else at
        row = next((row for row, end in enumerate(ends) if start >= end), len(ends))
        if start < x.start - 1 or row >= _MOST_ROWS:
            placed.append(PlacedMark(mark=mark, x=at, row=None, is_left=is_left))
            continue
        ends[row : row + 1] = [start + width]
        placed.append(PlacedMark(mark=mark, x=at, row=row, is_left=is_left))
    return placed


def rows_of(placed: Sequence[PlacedMark]) -> int:
    """Rows that the labels take.

    Args:
        placed: Events.
    """
    return max((mark.row + 1 for mark in placed if mark.row is not None), default=0)


def draw_marks(placed: Sequence[PlacedMark], *, bottom: float) -> Markup:
    """Lines and labels of events.

    Args:
        placed: Events.
        bottom: Pixel at which the lines end.
    """
    drawn = []
    for one in placed:
        top = ROW * (one.row or 0) + 2
        title = element("title", None, f"{words.moment(one.mark.time)} UTC: {one.mark.text}")
        at = pixel(one.x)
        line = element("path", {"class": "mark-line", "d": f"M{at} {top}V{pixel(bottom)}"})
        label = None
        if one.row is not None:
            place = one.x - 4 if one.is_left else one.x + 4
            anchor = "end" if one.is_left else None
            label = element("text", {"x": pixel(place), "y": top + 10, "text-anchor": anchor}, one.mark.label)
        drawn.append(element("g", {"class": "mark"}, title, line, label))
    return joined(drawn)
