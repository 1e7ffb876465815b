"""Kept states: alerts as they were left by the last evaluation, for those who only look."""

from collections.abc import Sequence

from lightning_app.monitoring.alerts.held_alert import HeldAlert
from lightning_app.monitoring.alerts.store.schema import have_tables
from lightning_app.monitoring.alerts.store.silences import Silence, covering, read_silences
from lightning_app.monitoring.alerts.store.states import AlertKey, monitors, read_alerts
from lightning_app.monitoring.report.structs import AlertState
from lightning_app.serving.journal.stores.database import JournalDatabase


def kept_states(database: JournalDatabase, *, monitor: str | None = None) -> list[AlertState]:
    """Alerts that are not inactive; none of a journal in which nothing was ever evaluated.

    Args:
        database: Database of the journal.
        monitor: Name of the monitor; None takes all.

    Raises:
        ValueError: The tables are of a newer version of this program.
        JournalError: The journal cannot be read.
    """
    if not have_tables(database):
        return []
    silences = read_silences(database)
    names = monitors(database) if monitor is None else [monitor]
    return [_state(*one, silences) for name in names for one in read_alerts(database, name).items()]


def _state(key: AlertKey, alert: HeldAlert, silences: Sequence[Silence]) -> AlertState:
    silence = covering(silences, alert.labels) if alert.status != "resolved" else None
    return AlertState(
        rule=key[0],
        severity=alert.labels["severity"],
        status=alert.status,
        labels=alert.labels,
        value=alert.value,
        since=alert.since,
        text=alert.text,
        silenced=None if silence is None else f"{silence.reason} ({silence.who}, {silence.id})",
        fired=alert.fired,
        annotations=alert.annotations,
        num_sent=alert.num_sent,
    )
