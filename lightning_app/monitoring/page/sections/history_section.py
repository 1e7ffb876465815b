"""Drift over time: a heat map of columns by windows."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element
from lightning_app.monitoring.page.pictures.heat_map import BOUNDS, Cell, heat_map
from lightning_app.monitoring.page.sections.section import legend, marks, on_screens, section
from lightning_app.monitoring.report.structs import MonitorReport

_MOST_ROWS = 40


def history_section(report: MonitorReport) -> Markup | None:
    """The section; None if no window of the history was compared.

    Args:
        report: The report.
    """
    windows = sorted({(point.window.since, point.window.until) for point in report.history})
    cells = _cells(report, windows)
    if not cells:
        return None
    order = sorted(cells, key=lambda name: (-sum(_size(cell) for cell in cells[name]), name))
    shown = {name: cells[name] for name in order[:_MOST_ROWS]}
    drifted = {name: sum(cell is not None and cell.drifted for cell in row) for name, row in cells.items()}
    most = [f"{name} in {count}" for name, count in sorted(drifted.items(), key=lambda one: -one[1]) if count][:5]
    text = (
        f"PSI of {words.count(len(shown), 'column')} in {words.count(len(windows), 'window')}. "
        f"{'Windows with drift: ' + ', '.join(most) if most else 'No column drifted in any window'}."
    )
    figure = on_screens(
        lambda width: heat_map(
            shown, windows, label=text, width=width, names=170 if width > 500 else 104, marks=marks(report)
        )
    )
    bounds = ["PSI over what chance reaches: 0", *(f"{bound:g}" for bound in BOUNDS)]
    entries = [(f"area-entry heat-{level}", bound) for level, bound in enumerate(bounds)]
    notes = []
    if len(order) > _MOST_ROWS:
        notes.append(f"{len(order) - _MOST_ROWS} columns that moved least are not drawn; report.json has them.")
    if len({point.window.since for point in report.history}) < len(report.history):
        notes.append("Where several versions answered in a window, the one that moved further is drawn.")
    return section(report, "history", "Drift over time", element("figure", {"class": "card figure keep"},
        legend([*entries, ("dot-entry", "drifted, after correction")]),
        figure,
        *(element("p", {"class": "quiet small"}, note) for note in notes),
    ))  # fmt: skip


def _cells(report: MonitorReport, windows: list[tuple[float, float]]) -> dict[str, list[Cell | None]]:
    places = {window: place for place, window in enumerate(windows)}
    cells: dict[str, list[Cell | None]] = {}
    for point in report.history:
        place = places[point.window.since, point.window.until]
        for name, psi in point.psi.items():
            drifted = point.drifted is not None and name in point.drifted
            if (expected := point.psi_expected.get(name)) is None:
                continue
            row = cells.setdefault(name, [None] * len(windows))
            cell, before = Cell(psi=psi, expected=expected, drifted=drifted), row[place]
            row[place] = cell if before is None else max(before, cell, key=_size)
    return cells


def _size(cell: Cell | None) -> float:
    """Weight of a cell in the order of columns: windows with drift count most."""
    return 0.0 if cell is None else min(cell.multiple, 10.0) / 10 + cell.drifted
