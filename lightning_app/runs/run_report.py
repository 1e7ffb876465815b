"""Test report: the page `report.md` of a run folder."""

import re
from pathlib import Path
from typing import Any, Literal

from lightning_app.atomic_write import write_whole
from lightning_app.config.trust import trust_words
from lightning_app.runs.run_folder import RunFolder
from lightning_app.runs.training_curve import draw_training_curve


def write_report(
    folder: RunFolder,
    *,
    config: dict[str, Any],
    model: str,
    data: Any,
    checkpoint: Path | None,
    metrics: dict[str, float],
    remarks: list[str],
    monitor: str | None = None,
    monitor_mode: Literal["min", "max"] = "min",
) -> None:
    """Writes `report.md`: results, protocol, errors by channel or class, pictures, and how to reproduce them.

    Args:
        folder: Run folder.
        config: Resolved config.
        model: Display name of the model.
        data: Data module; its protocol is described if it has one.
        checkpoint: Tested checkpoint; None for a model that needs no training.
        metrics: Metric name to value.
        remarks: Deviations from the run's config and from the full test split.
        monitor: Metric that selected the checkpoint.
        monitor_mode: Whether a low or a high value of it is better.
    """
    lines = [
        f"# {folder.name}",
        "",
        f"{model}, tested from `{_relative(checkpoint, folder)}`." if checkpoint else f"{model}, untrained.",
        "",
        "| metric | value |",
        "|---|---|",
        *(f"| {name} | {_short(value)} |" for name, value in metrics.items()),
        "",
        "## Protocol",
        "",
        *(f"- {key}: {value}" for key, value in _protocol(data).items()),
        *(f"- {remark}" for remark in remarks),
        *(f"- {note}" for note in _notes(data)),
        "",
    ]
    if (folder.path / "forecast.png").exists():
        lines += ["![Forecasts from the first, middle and last test window](forecast.png)", ""]
    for page in ("candidates.md", "channels.md", "confusion.md", "gain.md", "trajectories.md"):
        path = folder.path / page
        if path.exists():
            lines += [re.sub(r"^#", "##", line) for line in path.read_text().splitlines()] + [""]
    if (folder.path / "confusion.png").exists():
        lines += ["![Which classes were taken for which](confusion.png)", ""]
    curve = folder.path / "training_curve.png"
    if draw_training_curve(folder.history, curve, monitor=monitor, mode=monitor_mode):
        lines += ["## Training", "", "![Losses by step](training_curve.png)", ""]
    lines += [
        "## How it was made",
        "",
        f"- seed: {config.get('seed_everything')}",
        *(f"- data file: `{path}`" for path in _files(config.get("data"))),
        "- config: [config.yaml](config.yaml), resolved",
        "- lineage: [lineage.json](lineage.json): code, data fingerprint, versions",
        "- history: [metrics.csv](metrics.csv)",
        "",
        *_commands(folder, checkpoint, trust_words(config)),
        "",
    ]
    write_whole(folder.report, "\n".join(lines))


def _short(value: float) -> str:
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.3g}"


def _files(config: Any) -> list[str]:
    """Files that a section of a config names."""
    if isinstance(config, dict):
        return [path for value in config.values() for path in _files(value)]
    if isinstance(config, list):
        return [path for value in config for path in _files(value)]
    is_file = isinstance(config, str) and len(config) < 1000 and "\n" not in config and Path(config).is_file()
    return [config] if is_file else []


def _commands(folder: RunFolder, checkpoint: Path | None, trust: str) -> list[str]:
    """Commands that repeat the fit and the test, as indented code lines."""
    if trust:  # own modules are imported from the working directory
        start, config = f"The same again, from `{Path.cwd()}`, where own modules were found:", folder.config.resolve()
        tested = checkpoint.resolve() if checkpoint is not None else None
    else:
        start, config = "The same again, from this folder:", Path("config.yaml")
        tested = Path(_relative(checkpoint, folder)) if checkpoint is not None else None
    if tested is None:
        return [start, "", f"    lightning-app test -c {config}"]
    return [start, "", f"    lightning-app fit -c {config}", f"    lightning-app test --ckpt_path {tested}{trust}"]


def _notes(data: Any) -> list[str]:
    """What was dropped, filled or odd in the data."""
    notes = getattr(data, "notes", None)
    return notes() if notes is not None else []


def _protocol(data: Any) -> dict[str, Any]:
    describe = getattr(data, "protocol", None)
    return describe() if describe is not None else {"data": type(data).__name__}


def _relative(path: Path, folder: RunFolder) -> str:
    try:
        return str(path.resolve().relative_to(folder.path.resolve()))
    except ValueError:
        return str(path)
