"""Bar pair: shares of categories in the reference and now."""

from collections.abc import Sequence

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element
from lightning_app.monitoring.page.pictures.axes import pixel

_MOST = 5
_ROW = 17
_LETTERS = 12
_NAMES = 82
_SHARES = 40


def bar_pair(
    labels: Sequence[str], then: Sequence[float], now: Sequence[float], *, name: str, width: int = 210
) -> Markup:
    """A row for each of the categories that moved most or are most frequent: reference above, window below.

    Args:
        labels: Categories.
        then: Rows of the reference by category.
        now: Rows of the window by category.
        name: Name of the column.
        width: Pixels.
    """
    before, after = _shares(then), _shares(now)
    order = sorted(range(len(labels)), key=lambda place: -max(before[place], after[place]))
    moved = sorted(order, key=lambda place: -abs(after[place] - before[place]))[:2]
    shown = sorted({*order[: _MOST - 2], *moved, *order[:_MOST][: _MOST - len({*order[: _MOST - 2], *moved})]},
                   key=order.index)  # fmt: skip
    rows = [(labels[place], before[place], after[place]) for place in shown]
    left = len(labels) - len(shown)
    if left:
        rest = [place for place in order if place not in shown]
        rows.append((f"{left} more", sum(before[place] for place in rest), sum(after[place] for place in rest)))
    largest = max((max(one, other) for _, one, other in rows), default=0.0) or 1.0
    room = width - _NAMES - _SHARES
    drawn = []
    for place, (label, one, other) in enumerate(rows):
        top = place * _ROW
        title = element("title", None, f"{label}: {words.share(one)} then, {words.share(other)} now")
        drawn.append(element("g", None, title,
            element("text", {"x": _NAMES - 6, "y": top + 12, "text-anchor": "end"}, words.shortened(label, _LETTERS)),
            _bar("then-bar", one / largest * room, top + 2),
            _bar("now-bar", other / largest * room, top + 8),
            element("text", {"x": width, "y": top + 12, "text-anchor": "end"}, words.share(other)),
        ))  # fmt: skip
    height = max(len(rows), 1) * _ROW
    text = "; ".join(f"{label} {words.share(one)} then, {words.share(other)} now" for label, one, other in rows)
    size = {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    return element("svg", {"class": "small", "role": "img", "aria-label": f"{name}, shares: {text}", **size}, *drawn)


def _bar(style: str, length: float, top: float) -> Markup:
    area = {"x": _NAMES, "y": top, "width": pixel(max(length, 0.8)), "height": 6}
    return element("rect", {"class": style, **area})


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts)
    return [value / total if total else 0.0 for value in counts]
