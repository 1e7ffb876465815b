"""Watched rows: of a window's rows, what is compared with the reference of a version."""

from collections.abc import Iterable, Sequence

import polars as pl
from msgspec.structs import replace

from lightning_app.drift.reference import Reference
from lightning_app.drift.result import DriftResult, DriftSettings
from lightning_app.monitoring.observation.package_facts import PackageFacts
from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.settled import settled_outcomes
from lightning_app.monitoring.windows.rows import WindowRows
from lightning_app.serving.journal.export.rows import INPUT, PREDICTION


def watched_rows(rows: WindowRows, facts: PackageFacts, delays: DelayModel, *, now: float) -> pl.DataFrame:
    """Columns of requests and answers, and outcomes that are settled; without columns that the model does not read.

    Clients send ids and other columns that no model reads: these cannot move what is answered.

    Args:
        rows: Rows that the version answered.
        facts: What its package says.
        delays: How long outcomes take.
        now: Unix seconds.
    """
    table = replace(rows, table=settled_outcomes(rows.table, delays, now=now)).monitored
    return table.drop(unread_columns(table, facts))


def unread_columns(table: pl.DataFrame, facts: PackageFacts) -> list[str]:
    """Columns of requests that neither the model reads nor the reference has.

    Args:
        table: Columns of requests and answers.
        facts: What the package of the version says.
    """
    if facts.reads is None or facts.reference is None:
        return []
    known = facts.reads | {column.plan.source for column in facts.reference.columns} | {*facts.reference.left_out}
    return [
        name
        for name in table.columns
        if name not in known and name != "outcome" and not name.startswith((PREDICTION, INPUT))
    ]


def settings_for(settings: DriftSettings, watched: pl.DataFrame, reference: Reference) -> DriftSettings:
    """Settings without the columns to ignore that there are not, as in a window in which no client sent them.

    Args:
        settings: How drift is judged.
        watched: Watched rows of a window.
        reference: The reference.
    """
    known = {name for one in reference.columns for name in (one.plan.name, one.plan.source)}
    known |= {*reference.left_out, *watched.columns}
    return replace(settings, ignore=tuple(name for name in settings.ignore if name in known))


def with_unwatched(drift: DriftResult, unread: Sequence[str], ignored: Iterable[str]) -> DriftResult:
    """The result with a note on columns that are sent and not read, and on those to ignore that there are not.

    Args:
        drift: Drift of a version.
        unread: Columns that are not read.
        ignored: Columns to ignore that are not watched.
    """
    notes = [f"{name}: not watched, the model does not read it" for name in unread]
    notes += [f"{name}: to be ignored by the settings, but no such column is watched" for name in ignored]
    return replace(drift, notes=(*drift.notes, *dict.fromkeys(notes)))
