"""What the sections of the results share: configs, tables, comparisons."""

from typing import Any

from benchmarks.measure import ROOT, run

CONFIGS = ROOT / "configs"


def config(name: str) -> str:
    """Path of a config by its name below `configs/`, e.g. `forecasting/etth1_phase`."""
    return str(CONFIGS / f"{name}.yaml")


def verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"


def table(header: str, *rows: str) -> str:
    columns = header.count("|") + 1
    lines = [header, "|".join(["---"] * columns), *rows]
    return "\n".join(f"| {line.replace('|', ' | ')} |" if "---" not in line else f"|{line}|" for line in lines)


def compare(*words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run("compare", *words).answer["rows"]
    return rows
