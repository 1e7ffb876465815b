"""Wall and CPU seconds of the registry's steps, embedded; the last line is JSON.

usage: registry.py REPEATS
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lightning_app.packaging import Package
from lightning_app.registry import Registry
from tests.packages import small_package


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def command(*words: str) -> tuple[float, float]:
    """The same of a whole command, from the start of Python to its end."""
    wall, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-m", "lightning_app", *words], check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return 1e3 * (time.perf_counter() - wall), 1e3 * cpu


def main(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["LIGHTNING_APP_CACHE"] = str(folder / "cache")
        packages = [
            small_package(folder / f"package-{number}", noise=0.5 / number, seed=number)
            for number in range(1, repeats + 3)
        ]
        registry = Registry(f"sqlite:///{folder}/mlflow.db")
        costs: dict[str, list[tuple[float, float]]] = {
            "make the registry and register the first package": [clocked(lambda: registry.register(packages[0], "one"))]
        }

        def measure(name: str, work: Callable[[], object]) -> None:
            costs.setdefault(name, []).append(clocked(work))

        registry.promote("one@1", to="champion")
        for number, package in enumerate(packages[1:], start=2):
            measure("register", lambda package=package: registry.register(package, "one"))
            measure(
                "promote, 7 gates, 200 test rows",
                lambda number=number: registry.promote(f"one@{number}", to="champion", force="measured"),
            )
            measure("resolve", lambda: registry.resolve("one@champion"))
            measure("resolve and load", lambda: Package.load(registry.resolve("one@champion").path))
        for _ in range(2):
            measure("rollback", lambda: registry.rollback("one"))
        registry.resolve("one@champion")
        uri = ("--registry", registry.address.uri)
        costs["`lightning-app rollback`"] = [command("rollback", "one", *uri)]
        registry.resolve("one@champion")
        (folder / "mlflow.db").rename(folder / "away.db")
        measure("rollback without the registry", lambda: registry.rollback("one"))
        (folder / "away.db").rename(folder / "mlflow.db")
        registry.resolve("one@champion")
        (folder / "mlflow.db").rename(folder / "away.db")
        costs["`lightning-app rollback` without the registry"] = [command("rollback", "one", *uri)]
    print(
        json.dumps(
            {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in costs.items()}
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
