"""Candidate report: what became of the candidates of an AutoForecaster, as JSON, as a table and as a picture."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.forecasting.auto import AutoForecaster, CandidateRecord

_CHOSEN, _OTHER = "tab:orange", "0.55"


def write_candidates(module: AutoForecaster, folder: Path, *, budget: float | None, used: float | None) -> None:
    """Writes `candidates.json`, `candidates.md` and `candidates.png`.

    Args:
        module: After the choice.
        folder: Where to.
        budget: CPU seconds that were given; None without a budget.
        used: CPU seconds that were taken from it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        "budget": budget,
        "cpu_seconds": used,
        "period": module.sizes.period,
        "reason": module.reason,
        "candidates": {name: asdict(record) for name, record in module.records.items()},
    }
    (folder / "candidates.json").write_text(json.dumps(found, indent=2) + "\n")
    (folder / "candidates.md").write_text("\n".join(_page(module, budget=budget, used=used)) + "\n")
    draw_candidates(module.records, folder / "candidates.png")


def describe(record: CandidateRecord) -> str:
    """A line about what became of a candidate."""
    error = "" if record.val_mse is None else f"validation MSE {record.val_mse:.4g}, "
    epochs = f", {record.epochs:.3g} epochs" if record.is_member else ""
    remark = f": {record.remark}" if record.remark else ""
    return f"{record.outcome:<9} {error}{record.cpu_seconds:.1f} CPU s{epochs}{remark}"


def _page(module: AutoForecaster, *, budget: float | None, used: float | None) -> list[str]:
    rows = [
        f"| {'**' + name + '**' if record.chosen else name} | {record.outcome} | "
        f"{f'{record.weight:.2f}' if record.chosen else ''} | "
        f"{'' if record.val_mse is None else f'{record.val_mse:.4g}'} | {record.cpu_seconds:.1f} | "
        f"{record.epochs:.3g} | {record.look_back} | {record.num_fitted:,} | {record.remark} |"
        for name, record in module.records.items()
    ]
    given = "no budget" if budget is None else f"{used or 0:.0f} of {budget:g} CPU seconds used"
    season = "no season" if module.sizes.period is None else f"a season of {module.sizes.period} rows"
    return [
        "# Candidates",
        "",
        f"Chosen (bold): {module.reason}. {given[0].upper()}{given[1:]}; {season}.",
        "",
        "| candidate | outcome | weight | validation MSE | CPU s | epochs | look-back | fitted values | remark |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
        *rows,
        "",
        "![Validation error of each candidate against the CPU time of its fit](candidates.png)",
    ]


def draw_candidates(records: dict[str, CandidateRecord], path: Path) -> None:
    """Draws the validation error of each member against the CPU time of its fit, the chosen ones marked.

    Args:
        records: By name, after the choice.
        path: The PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    draw_errors(figure.subplots(), records)
    figure.savefig(path, dpi=110)


def draw_errors(axis: Any, records: dict[str, CandidateRecord]) -> None:
    """Draws `draw_candidates` on axes of matplotlib.

    Args:
        axis: What to draw on.
        records: By name.
    """
    from matplotlib.ticker import LogLocator

    points = {
        name: (max(record.cpu_seconds, 0.02), record.val_mse, record.chosen)
        for name, record in records.items()
        if record.val_mse is not None
    }
    for seconds, error, chosen in points.values():
        axis.plot(
            seconds, error, "o", markersize=9 if chosen else 6, color=_CHOSEN if chosen else _OTHER,
            markeredgecolor="white", label="in the forecast" if chosen else "tried",
        )  # fmt: skip
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    errors = [error for _, error, _ in points.values()]
    if errors and min(errors) > 0 and max(errors) > 3 * min(errors):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(LogLocator(subs=()))
    axis.margins(x=0.2, y=0.14)
    axis.set_xlabel("CPU seconds of its fit")
    axis.set_ylabel("validation MSE")
    axis.grid(visible=True, which="major", color="0.92", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axis.legend(unique.values(), unique.keys(), frameon=False, fontsize=8)
    _name_points(axis, points)


def _name_points(axis: Any, points: dict[str, tuple[float, float, bool]]) -> None:
    """Writes each name where it covers no point and no other name, if there is such a place beside its point."""
    scale = 72 / axis.figure.dpi
    axis.autoscale_view()
    places = {name: axis.transData.transform(point[:2]) * scale for name, point in points.items()}
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in places.values()]
    for name, (seconds, error, chosen) in points.items():
        x, y = places[name]
        width = (5.0 if chosen else 4.4) * len(name)
        spots = [(7, 3), (7, -11), (-7 - width, 3), (-7 - width, -11), (-width / 2, 8), (-width / 2, -17), (7, 12)]
        boxes = {spot: (x + spot[0], y + spot[1], x + spot[0] + width, y + spot[1] + 8) for spot in spots}
        spot = next((spot for spot, box in boxes.items() if not any(_overlap(box, other) for other in taken)), spots[0])
        taken.append(boxes[spot])
        axis.annotate(
            name, (seconds, error), xytext=spot, textcoords="offset points", fontsize=8,
            color="black" if chosen else "0.35", fontweight="bold" if chosen else "normal",
        )  # fmt: skip


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
