"""Candidate report: what became of the candidates of an AutoForecaster, as JSON, as a table and as a picture."""

import json
from dataclasses import asdict
from pathlib import Path

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
        "| candidate | outcome | validation MSE | CPU s | epochs | look-back | fitted values | remark |",
        "|---|---|---:|---:|---:|---:|---:|---|",
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


def draw_errors(axis: object, records: dict[str, CandidateRecord]) -> None:
    """Draws `draw_candidates` on axes of matplotlib.

    Args:
        axis: What to draw on.
        records: By name.
    """
    members = {name: record for name, record in records.items() if record.val_mse is not None}
    # Names beside each other alternate above and below their points.
    ordered = sorted(members, key=lambda name: members[name].cpu_seconds)
    below = {name for index, name in enumerate(ordered) if index % 2}
    for name, record in members.items():
        color = _CHOSEN if record.chosen else _OTHER
        seconds = max(record.cpu_seconds, 0.02)
        axis.plot(  # type: ignore[attr-defined]
            seconds, record.val_mse, "o", markersize=9 if record.chosen else 6, color=color, markeredgecolor="white",
            label="in the forecast" if record.chosen else "tried",
        )  # fmt: skip
        axis.annotate(  # type: ignore[attr-defined]
            name, (seconds, record.val_mse), xytext=(6, -12 if name in below else 5), fontsize=8,
            textcoords="offset points",
            color="black" if record.chosen else "0.35", fontweight="bold" if record.chosen else "normal",
        )  # fmt: skip
    errors = [float(record.val_mse or 0.0) for record in members.values()]
    axis.set_xscale("log")  # type: ignore[attr-defined]
    axis.xaxis.set_major_formatter("{x:g}")  # type: ignore[attr-defined]
    if errors and min(errors) > 0 and max(errors) > 3 * min(errors):
        axis.set_yscale("log")  # type: ignore[attr-defined]
        axis.yaxis.set_major_formatter("{x:g}")  # type: ignore[attr-defined]
        axis.yaxis.set_minor_formatter("{x:g}" if max(errors) < 10 * min(errors) else "")  # type: ignore[attr-defined]
    axis.margins(x=0.18, y=0.12)  # type: ignore[attr-defined]
    axis.set_xlabel("CPU seconds of its fit")  # type: ignore[attr-defined]
    axis.set_ylabel("validation MSE")  # type: ignore[attr-defined]
    axis.grid(visible=True, which="major", color="0.92", linewidth=0.8)  # type: ignore[attr-defined]
    axis.set_axisbelow(True)  # type: ignore[attr-defined]
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)  # type: ignore[attr-defined]
    handles, labels = axis.get_legend_handles_labels()  # type: ignore[attr-defined]
    unique = dict(zip(labels, handles, strict=True))
    axis.legend(unique.values(), unique.keys(), frameon=False, fontsize=8)  # type: ignore[attr-defined]
