"""The report of a test, as a page that stands alone."""

import re
from pathlib import Path
from typing import Any

from lightning_app.run import RunFolder, write_whole


def write_report(
    folder: RunFolder,
    *,
    config: dict[str, Any],
    model: str,
    data: Any,
    checkpoint: Path | None,
    metrics: dict[str, float],
    remarks: list[str],
) -> None:
    """Writes `report.md`: result, protocol, how it was made.

    Args:
        folder: The run folder.
        config: The resolved config.
        model: What the model is called.
        data: The data module, which describes its protocol if it can.
        checkpoint: What was tested; None for a model that needs no training.
        metrics: Name to value.
        remarks: What was done otherwise than the config says.
    """
    lines = [
        f"# {folder.name}",
        "",
        f"{model}, tested from `{_relative(checkpoint, folder)}`." if checkpoint else f"{model}, untrained.",
        "",
        "| metric | value |",
        "|---|---|",
        *(f"| {name} | {value:.4f} |" for name, value in metrics.items()),
        "",
        "## Protocol",
        "",
        *(f"- {key}: {value}" for key, value in _protocol(data).items()),
        *(f"- {remark}" for remark in remarks),
        "",
    ]
    if (folder.path / "forecast.png").exists():
        lines += ["![Forecasts from the first, middle and last test window](forecast.png)", ""]
    trajectories = folder.path / "trajectories.md"
    if trajectories.exists():
        lines += [re.sub(r"^#", "##", line) for line in trajectories.read_text().splitlines()] + [""]
    lines += [
        "## How it was made",
        "",
        f"- seed: {config.get('seed_everything')}",
        "- config: [config.yaml](config.yaml), resolved",
        "- lineage: [lineage.json](lineage.json): code, data fingerprint, versions",
        "- history: [metrics.csv](metrics.csv)",
        "",
    ]
    write_whole(folder.report, "\n".join(lines))


def _protocol(data: Any) -> dict[str, Any]:
    describe = getattr(data, "protocol", None)
    return describe() if describe is not None else {"data": type(data).__name__}


def _relative(path: Path, folder: RunFolder) -> str:
    try:
        return str(path.resolve().relative_to(folder.path.resolve()))
    except ValueError:
        return str(path)
