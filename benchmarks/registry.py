"""The registry: what its steps cost."""

from collections.abc import Callable

from benchmarks.measure import run
from benchmarks.page import table, verdict


def registry() -> str:
    """Steps of an embedded registry."""
    answer = run("registry", "5").answer
    rows = []
    for name, (wall, cpu) in answer.items():
        aim = f"1,000 ms|{verdict(wall < 1000)}" if "rollback" in name else "|"
        rows.append(f"{name}|{wall:,.0f}|{cpu:,.0f}|{aim}")
    return (
        "A perceptron's package, sqlite, files on the local disk; medians of 6, the rare steps once or twice. Whole "
        "commands count from the start of Python; of theirs, importing MLflow is the most.\n\n"
    ) + table("|wall, ms|CPU, ms|aim|", *rows)


SECTIONS: dict[str, Callable[[], str]] = {"registry": registry}
