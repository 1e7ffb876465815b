"""From a checkpoint to scored tables: packages."""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import alternate, median
from benchmarks.page import table, verdict
from tests.packages import LABELS, small_package


def first_answer() -> str:
    """A process that has imported nothing yet, until a package has answered."""
    with tempfile.TemporaryDirectory() as place:
        folder = small_package(Path(place) / "package", columns=None, num_features=32, labels=LABELS)
        (costs,) = alternate(9, ("first_answer", str(folder)))
    parts = {key: median(costs, key) for key in ("import_s", "load_s", "answer_s", "seconds", "resident_mib")}
    cpu = statistics.median(cost.cpu_seconds for cost in costs)
    return (
        "A perceptron of 32 features as a package: `Package` imported, loaded with every checksum and the golden request, "
        f"one row answered; medians of 9 processes. Of the seconds, {parts['import_s']:.2f} are imports, "
        f"{parts['load_s']:.2f} loading; the whole process took {cpu:.2f} s of CPU time.\n\n"
    ) + table(
        "|measured|aim|",
        f"seconds until the first answer|{parts['seconds']:.2f}|0.8|{verdict(parts['seconds'] <= 0.8)}",
        f"MiB resident at most|{parts['resident_mib']:.0f}|130|{verdict(parts['resident_mib'] <= 130)}",
    )


SECTIONS: dict[str, Callable[[], str]] = {"first_answer": first_answer}
