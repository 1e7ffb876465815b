"""Report of an experiment: a folder with report.md, its pictures, and the numbers as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_app.atomic_write import write_whole
from lightning_app.serving.experiments.analysis.reporting.sections import Section
from lightning_app.terminal import plain


def new_folder(path: Path) -> Path:
    """Makes the folder of a report.

    Args:
        path: The folder.

    Raises:
        ValueError: It holds something already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"output: {path} exists; give a new folder")
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_report(
    folder: Path,
    *,
    title: str,
    facts: Sequence[str],
    sections: Sequence[Section],
    numbers: Any,
    pictures: Sequence[str],
) -> Path:
    """Writes report.md and report.json.

    Args:
        folder: Folder that has the pictures.
        title: Heading of the report.
        facts: Lines below it.
        sections: Sections of the report.
        numbers: Content of report.json.
        pictures: Pictures that were drawn, without their suffix.

    Returns:
        The report.
    """
    lines = [f"# {title}", "", *(f"- {_text(fact)}" for fact in facts), ""]
    for section in sections:
        lines += [f"## {_text(section.title)}", ""]
        if section.header:
            lines += [_row(section.header), _row("---" for _ in section.header)]
            lines += [*(_row(row) for row in section.rows), ""]
        lines += [f"- {_text(line)}" for line in section.lines]
        lines += [""] if section.lines else []
        if section.picture in pictures:
            lines += [f"![{_text(section.title)}]({section.picture}.png)", ""]
    write_whole(folder / "report.json", json.dumps(numbers, indent=2) + "\n")
    path = folder / "report.md"
    write_whole(path, "\n".join(lines).rstrip() + "\n")
    return path


def _row(cells: Any) -> str:
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(text: str) -> str:
    """A text that cannot be taken for Markdown or HTML, in one line."""
    line = " ".join(plain(text).split())
    for character in "\\`*<>|[]":
        line = line.replace(character, f"\\{character}")
    return line
