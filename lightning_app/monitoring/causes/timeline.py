"""Timeline: what happened to a model: aliases, experiments, cycles of retraining, first answers, rises of the error."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from lightning_app.monitoring.report.structs import ErrorChange, EventKind, TimelineEvent, Window
from lightning_app.monitoring.windows.traffic import Traffic
from lightning_app.registry.promotion.journal import Entry, JournalState
from lightning_app.serving.experiments.store.experiment_store import ExperimentStore
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.own_tables import own_tables_version

_RETRAINING_VERSION = 1
_RETRAINING_MARKS = ("triggered", "promoted", "rejected", "rolled_back", "expired", "failed")
"""Begins and ends of cycles; `retrain history` has every step."""


def alias_events(history: JournalState, window: Window) -> list[TimelineEvent]:
    """Changes of aliases.

    Args:
        history: Audit of the model in the registry.
        window: Span of time.
    """
    events = []
    for entry in history.entries.values():
        time = datetime.fromisoformat(entry.when).timestamp()
        if window.since <= time < window.until:
            events.append(TimelineEvent(time=time, kind=_kind(entry), text=_text(entry), version=entry.after))
    return events


def first_answer_events(traffic: Sequence[Traffic], model: str, window: Window) -> list[TimelineEvent]:
    """First answer of each version.

    Args:
        traffic: Traffic of the versions over all time.
        model: Name of the model.
        window: Span of time.
    """
    return [
        TimelineEvent(
            time=one.first,
            kind="first answer",
            text=f"first answer of {version_label(model, one)}",
            version=one.version,
        )
        for one in traffic
        if window.since <= one.first < window.until
    ]


def experiment_events(database: JournalDatabase, model: str, window: Window) -> list[TimelineEvent]:
    """Begins and ends of experiments and canaries.

    Args:
        database: Database of the journal.
        model: Name of the model.
        window: Span of time.

    Raises:
        JournalError: The journal cannot be read.
    """
    events = []
    for record in ExperimentStore(database).list():
        if record.model != model:
            continue
        reason = f": {record.reason}" if record.reason else ""
        for time, text in ((record.created, "began"), (record.ended, f"ended{reason}")):
            if time is not None and window.since <= time < window.until:
                events.append(TimelineEvent(time=time, kind="experiment", text=f"{record.kind} {record.id} {text}"))
    return events


def retraining_events(database: JournalDatabase, model: str, window: Window) -> list[TimelineEvent]:
    """Begins and ends of cycles of retraining, where the journal has any.

    Args:
        database: Database of the journal.
        model: Name of the model in the registry.
        window: Span of time.

    Raises:
        JournalError: The journal cannot be read.
    """
    try:
        if own_tables_version(database, "retraining", _RETRAINING_VERSION) is None:
            return []
    except ValueError:  # of a later version, whose columns may be others
        return []
    rows = database.execute(
        f"SELECT time, kind, facts FROM {database.table('retraining_events')} AS e "
        "WHERE model = ? AND time >= ? AND time < ? AND cycle_id IS NOT NULL ORDER BY number",
        (model, window.since, window.until),
    )
    return [
        TimelineEvent(
            time=time, kind="retraining", text=f"{kind}: {msgspec.json.decode(facts).get('words', '')}".rstrip(": ")
        )
        for time, kind, facts in rows
        if kind in _RETRAINING_MARKS
    ]


def error_change_events(
    traffic: Sequence[Traffic], model: str, changes: Mapping[str, Sequence[ErrorChange]]
) -> list[TimelineEvent]:
    """Rises of the error of each version.

    Args:
        traffic: Traffic of the versions over all time.
        model: Name of the model.
        changes: Rises of the error, by digest.
    """
    by_digest = {one.digest: one for one in traffic}
    return [
        TimelineEvent(
            time=change.time,
            kind="error changed",
            text=f"error of {version_label(model, by_digest[digest])} rose from {change.before:.3g} to "
            f"{change.after:.3g} about row {change.row:,} (found {change.rows:,} rows later)",
            version=by_digest[digest].version,
        )
        for digest, found in changes.items()
        for change in found
    ]


def version_label(model: str, traffic: Traffic) -> str:
    """Label of a version: `NAME@3`, or name and digest of a folder.

    Args:
        model: Name of the model.
        traffic: Its traffic.
    """
    return f"{model}@{traffic.version}" if traffic.version is not None else f"{model} ({traffic.digest[:12]})"


def _kind(entry: Entry) -> EventKind:
    if entry.action == "rollback":
        return "rolled back"
    if entry.action == "withdraw":
        return "withdrawn"
    if entry.alias == "challenger":
        return "challenger"
    return "shadow" if entry.alias == "shadow" else "promoted"


def _text(entry: Entry) -> str:
    reason = f": {entry.reason}" if entry.reason else ""
    if entry.after is None:
        return f"version {entry.before} is no {entry.alias} any more{reason}"
    before = f" (was version {entry.before})" if entry.before is not None else ""
    verb = "is again" if entry.action == "rollback" else "is"
    return f"version {entry.after} {verb} {entry.alias}{before}{reason}"
