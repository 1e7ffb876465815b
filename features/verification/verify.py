"""Verification of features: real events replayed online and compared with batch, and a future that is changed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from features.definitions import Definitions
from features.online.event import moment_of
from features.sources import Notes
from features.verification.compare import compare
from features.verification.report import FeatureCheck, Report
from features.verification.view_history import Read, ViewHistory, source_table

_FUTURE_READS = 200


def verify(
    definitions: Definitions,
    *,
    tables: Mapping[str, pl.DataFrame] | None = None,
    rows: int | None = None,
    futures: int = 3,
    tolerance: float = 1e-9,
    root: Path | None = None,
    seed: int = 0,
) -> Report:
    """Replays the events of each view online, compares with batch, and changes the future.

    Events are fed one by one in the order in which they became available. Features are read at the time of each event,
    or of a sample of them, for the entity of the event, and compared with the batch form of the same entity and time.
    Then events after a time, or not available at it, are changed, removed and added: neither form may answer
    differently for that time or an earlier one.

    Args:
        definitions: The definitions.
        tables: Rows of sources by name, instead of their files.
        rows: Number of events, drawn at random, at which features are read; None for all.
        futures: Number of times at which the future is changed.
        tolerance: Difference, relative to the larger value, up to which numbers are equal.
        root: Folder that relative paths of sources start from.
        seed: Seed of the drawn rows and times.

    Raises:
        ValueError: No view has features of history, a source cannot be read, or a number is too small.
    """
    if rows is not None and rows < 1:
        raise ValueError(f"rows: {rows} given, at least 1 is needed")
    if futures < 0 or tolerance < 0:
        raise ValueError(f"futures {futures}, tolerance {tolerance} given; neither may be below 0")
    views = {name: view.source for name, view in definitions.views.items() if view.history}
    if not views:
        raise ValueError("no view has features of history: there is nothing to replay")
    report, notes = Report(tolerance=tolerance), Notes()
    for name, source in views.items():
        assert source is not None
        table = source_table(source, definitions, tables=dict(tables or {}), root=root)
        history = ViewHistory(name, definitions, table, notes=notes)
        rng = np.random.default_rng(seed)
        reads = _reads(history, rows, rng)
        batch = history.batch(reads)
        online = history.online(reads, dict(batch.schema))
        checks = [FeatureCheck(name=f"{name}.{feature}") for feature in definitions.views[name].history]
        for check in checks:
            _compare_forms(check, online, batch, reads, tolerance=tolerance)
        for number in range(futures if reads else 0):
            answers = {"batch": batch, "online": online}
            _change_future(history, checks, reads, answers, rng, seed=seed + number, tolerance=tolerance)
        report.events[name] = len(history.events)
        report.checks += checks
    report.notes = list(dict.fromkeys(notes.lines()))
    return report


def _reads(history: ViewHistory, rows: int | None, rng: np.random.Generator) -> list[Read]:
    count = len(history.events)
    drawn = range(count) if rows is None or rows >= count else rng.choice(count, rows, replace=False)
    reads = [(history.events[i].key, history.events[i].time) for i in drawn]
    return sorted(reads, key=lambda read: read[1])


def _compare_forms(
    check: FeatureCheck, online: pl.DataFrame, batch: pl.DataFrame, reads: list[Read], *, tolerance: float
) -> None:
    found = compare(online, batch, check.name, tolerance=tolerance)
    check.rows, check.differ, check.largest = len(reads), found.count, found.largest
    if found.row is not None:
        cells = f"online {_cell(online, check.name, found.row)}, batch {_cell(batch, check.name, found.row)}"
        check.example = f"{_where(reads[found.row])}: {cells}"


def _change_future(
    history: ViewHistory,
    checks: list[FeatureCheck],
    reads: list[Read],
    answers: dict[str, pl.DataFrame],
    rng: np.random.Generator,
    *,
    seed: int,
    tolerance: float,
) -> None:
    cut = reads[int(rng.integers(len(reads)))][1]
    past = np.flatnonzero([at <= cut for _, at in reads])
    half = _FUTURE_READS // 2
    chosen = np.unique(np.concatenate([past[-half:], rng.choice(past, min(len(past), half), replace=False)]))
    asked = [reads[i] for i in chosen]
    other = history.with_other_future(cut, seed=seed)
    forms = {
        "batch": other.batch(asked),
        "online": other.online(asked, dict(answers["batch"].schema), entities={key for key, _ in asked}),
    }
    for check in checks:
        for form, after in forms.items():
            before = answers[form][chosen]
            found = compare(after, before, check.name, tolerance=tolerance)
            check.future_rows += len(asked)
            check.moved += found.count
            if found.row is not None and check.moved_example is None:
                was, became = _cell(before, check.name, found.row), _cell(after, check.name, found.row)
                place = f"{_where(asked[found.row])}, {form}"
                check.moved_example = f"{place}: {was}, and {became} once events from {moment_of(cut)} on are others"


def _where(read: Read) -> str:
    key, at = read
    return f"entity {', '.join(map(str, key)) or 'all'} at {moment_of(at)}"


def _cell(frame: pl.DataFrame, name: str, row: int) -> str:
    return f"{frame[name][row]!r} (reason {frame[f'{name}__reason'][row]})"
