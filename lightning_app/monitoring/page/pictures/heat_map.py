"""Heat map: how far each column was from the reference in each window, beside what chance reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element
from lightning_app.monitoring.page.pictures.axes import Scale, pixel
from lightning_app.monitoring.page.pictures.line_chart import frame, time_axis
from lightning_app.monitoring.page.pictures.marks import ROW, Mark, draw_marks, place_marks, rows_of

BOUNDS = (0.5, 0.75, 1.0, 2.0, 4.0)
"""PSI, as a multiple of what chance reaches, from which a cell has the next darker colour."""
_ROW_HEIGHT = 18
_BOTTOM = 24


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A column in a window.

    Attributes:
        psi: Its PSI.
        expected: What an undrifted window of this size exceeds in 5 of 100 cases.
        drifted: Whether it drifted: a dot is drawn.
    """

    psi: float
    expected: float
    drifted: bool

    @property
    def multiple(self) -> float:
        """The PSI as a multiple of what chance reaches."""
        return self.psi / self.expected if self.expected > 0 else 0.0


def heat_map(
    rows: Mapping[str, Sequence[Cell | None]],
    windows: Sequence[tuple[float, float]],
    *,
    label: str,
    width: int,
    names: int,
    marks: Sequence[Mark] = (),
) -> Markup:
    """Cells by column and window, darker where the PSI is further beyond chance, with a dot where the column drifted.

    Args:
        rows: Cells of each column, one for each window; None where nothing is known.
        windows: Ends of the windows, Unix seconds, in the order of time.
        label: What the picture shows, in words.
        width: Pixels.
        names: Pixels for the names of columns.
        marks: Events.
    """
    x = Scale(low=windows[0][0], high=windows[-1][1], start=names, end=width - 16)
    placed = place_marks(marks, x)
    top = ROW * rows_of(placed) + 4
    bottom = top + _ROW_HEIGHT * len(rows)
    letters = int((names - 10) / 6.2)
    drawn = []
    for place, (name, cells) in enumerate(rows.items()):
        at = top + place * _ROW_HEIGHT
        text = {"class": "label", "x": names - 7, "y": at + 13, "text-anchor": "end"}
        drawn.append(element("text", text, element("title", None, name), words.shortened(name, letters)))
        drawn.extend(_row(cells, windows, x, at))
        drawn.extend(_titles(name, cells, windows, x, at))
    drawn += [draw_marks(placed, bottom=bottom), time_axis(x, bottom, width)]
    return frame(drawn, width=width, height=bottom + _BOTTOM, label=label)


def _row(cells: Sequence[Cell | None], windows: Sequence[tuple[float, float]], x: Scale, top: float) -> list[Markup]:
    """One path for each colour, and one for all dots: hundreds of columns stay small."""
    areas: dict[int, list[str]] = {}
    dots: dict[str, list[str]] = {}
    for cell, (since, until) in zip(cells, windows, strict=True):
        start, end = x(since), x(until)
        gap = min(1.0, (end - start) / 6)
        if cell is None:
            continue
        level = sum(cell.multiple >= bound for bound in BOUNDS)
        size = f"h{pixel(end - start - gap)}v{_ROW_HEIGHT - 2}H{pixel(start)}z"
        areas.setdefault(level, []).append(f"M{pixel(start)} {pixel(top + 1)}{size}")
        if cell.drifted:
            tone = "heat-dot dark" if level >= 4 else "heat-dot"
            dots.setdefault(tone, []).append(f"M{pixel((start + end - gap) / 2)} {pixel(top + _ROW_HEIGHT / 2)}h0")
    drawn = [element("path", {"class": f"heat-{level}", "d": "".join(areas[level])}) for level in sorted(areas)]
    return drawn + [element("path", {"class": tone, "d": "".join(dots[tone])}) for tone in sorted(dots)]


def _titles(
    name: str, cells: Sequence[Cell | None], windows: Sequence[tuple[float, float]], x: Scale, top: float
) -> list[Markup]:
    """Words under the pointer, where a column drifted."""
    drawn = []
    for cell, (since, until) in zip(cells, windows, strict=True):
        if cell is None or not cell.drifted:
            continue
        area = {"x": pixel(x(since)), "y": pixel(top), "width": pixel(x(until) - x(since)), "height": _ROW_HEIGHT}
        said = f"PSI {words.number(cell.psi, 2)}, by chance {words.number(cell.expected, 2)}"
        text = f"{name}, {words.start_of(since, until - since)}: {said}"
        drawn.append(element("rect", {"class": "hit", **area}, element("title", None, text)))
    return drawn
