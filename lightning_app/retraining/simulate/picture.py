"""Picture of a simulation: error over time by strategy with intervals, and when each one fitted; SVG."""

from collections.abc import Sequence
from html import escape

from lightning_app.monitoring.page.pictures.axes import Scale, path, pixel, ticks, time_ticks
from lightning_app.retraining.simulate.outcome import SimulationReport, StrategyReport

_COLORS = ("#8a8f98", "#0b6bcb", "#d9730d", "#2e8540", "#9065b0", "#c4314b")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _ROW = 900, 320, 60, 20, 34, 16


def picture_of(report: SimulationReport) -> str:
    """The picture.

    Args:
        report: The report.
    """
    means = [window.error for one in report.strategies for window in one.windows if window.error.value is not None]
    values = [mean.value or 0.0 for mean in means] or [0.0, 1.0]
    levels = ticks(min(values), max(values))
    x = Scale(low=report.since, high=report.until, start=_LEFT, end=_WIDTH - _RIGHT)
    y = Scale(low=levels[0], high=levels[-1], start=_HEIGHT, end=_TOP)
    height = _HEIGHT + 30 + _ROW * len(report.strategies)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11" role="img" aria-label="{escape(report.error_name)} over time">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for level in levels:
        parts.append(_line(_LEFT, y(level), _WIDTH - _RIGHT, y(level), "#e3e5e8"))
        parts.append(_text(_LEFT - 6, y(level) + 4, f"{level:.4g}", anchor="end"))
    for moment, label in time_ticks(report.since, report.until):
        parts.append(_text(x(moment), _HEIGHT + 15, label, anchor="middle"))
    for number, one in enumerate(report.strategies):
        color = _COLORS[number % len(_COLORS)]
        parts += _curve(one, x, y, color)
        parts.append(_text(_LEFT + 150 * number, 16, f"{one.name} ({one.fits:,} fits)", color=color))
        top = _HEIGHT + 26 + _ROW * number
        for event in one.events:
            shown = "" if event.promoted else ' stroke-opacity="0.35"'
            parts.append(_line(x(event.time), top, x(event.time), top + _ROW - 5, color, extra=shown))
    return "\n".join([*parts, "</svg>", ""])


def _curve(one: StrategyReport, x: Scale, y: Scale, color: str) -> Sequence[str]:
    points, low, high = [], [], []
    for window in one.windows:
        middle, error = x((window.since + window.until) / 2), window.error
        points.append(None if error.value is None else (middle, y(error.value)))
        if error.low is not None and error.high is not None:
            low.append((middle, y(max(y.low, error.low))))
            high.append((middle, y(min(y.high, error.high))))
    band = path([*low, *reversed(high)])
    area = [f'<path d="{band}Z" fill="{color}" fill-opacity="0.12"/>'] if band else []
    return [*area, f'<path d="{path(points)}" fill="none" stroke="{color}" stroke-width="1.6"/>']


def _line(x1: float, y1: float, x2: float, y2: float, color: str, *, extra: str = "") -> str:
    ends = f'x1="{pixel(x1)}" y1="{pixel(y1)}" x2="{pixel(x2)}" y2="{pixel(y2)}"'
    return f'<line {ends} stroke="{color}"{extra}/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", color: str = "#444") -> str:
    place = f'x="{pixel(x)}" y="{pixel(y)}"'
    return f'<text {place} text-anchor="{anchor}" fill="{color}">{escape(words)}</text>'
