"""Features online: what an event costs, and whether online equals batch on all events of a shop."""

from collections.abc import Callable

from benchmarks.measure import median, run
from benchmarks.page import table, verdict


def feature_replay() -> str:
    """All invoice lines of Online Retail through the online form, event by event, against batch."""
    updates = [run("feature_replay", "update") for _ in range(3)]
    replayed = run("feature_replay", "verify")
    answer, first = replayed.answer, updates[0].answer
    per_s = median(updates, "per_cpu_s")
    held = ", ".join(
        f"{size / 2**20:.1f} MiB of {lines:,} lines"
        for size, lines in zip(first["state_bytes"], first["lines_of_30_days"], strict=True)
    )
    counts = " and ".join(f"{count:,} ({view})" for view, count in answer["views"].items())
    return (
        f"Events: {counts}, twenty features of `benchmarks/programs/online_retail.yaml`; features are read at every "
        f"event and compared with the batch form at the same entity and time, {answer['compared']:,} values in all. Then "
        f"what comes after three times is changed: {answer['future_rows']:,} values were computed again. Updates are of ten "
        f"other features (count, sum, mean, deviation and largest over 7 and 30 days) of {first['entities']:,} stock codes, "
        f"median of 3 processes. A read is of both sets, 20 features of one stock code after the last line: median, and "
        f"99th percentile, in CPU time. States and lines of the last 30 days, after each quarter of all lines: {held}.\n\n"
    ) + table(
        "|value|aim|",
        f"values that differ beyond 1e-9|{answer['differ']:,} of {answer['compared']:,}, largest difference "
        f"{answer['largest']:.1e}|0: {verdict(answer['differ'] == 0)}|",
        f"values that moved with the future|{answer['moved']:,} of {answer['future_rows']:,}|"
        f"0: {verdict(answer['moved'] == 0)}|",
        f"updates per CPU s|{per_s:,.0f}|10,000: {verdict(per_s >= 10_000)}|",
        f"read, CPU us|{median(updates, 'read_us'):.0f}, {median(updates, 'read_p99_us'):.0f}||",
        f"replay, CPU s|{answer['seconds']:.0f}||",
        f"peak of the replay, MiB|{replayed.peak_mib:,.0f}||",
    )


SECTIONS: dict[str, Callable[[], str]] = {"feature_replay": feature_replay}
