"""States of alerts and the clock that they wait by, in the journal's database."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from lightning_app.monitoring.alerts.alert_clock import AlertClock
from lightning_app.monitoring.alerts.held_alert import HeldAlert
from lightning_app.serving.journal.stores.database import JournalDatabase

AlertKey: TypeAlias = tuple[str, str]
"""Name of the rule, and the labels of the sample as a key."""
_encode = msgspec.json.Encoder().encode
_alert = msgspec.json.Decoder(HeldAlert).decode
_clock = msgspec.json.Decoder(AlertClock).decode


def read_clock(database: JournalDatabase, monitor: str) -> AlertClock | None:
    """The clock of a monitor; None before its first evaluation.

    Args:
        database: Database of the journal.
        monitor: Name of the monitor.
    """
    rows = database.execute(f"SELECT clock FROM {database.table('alert_clocks')} WHERE monitor = ?", (monitor,))
    return _clock(rows[0][0]) if rows else None


def write_clock(database: JournalDatabase, monitor: str, clock: AlertClock) -> None:
    """Writes the clock of a monitor, within a transaction.

    Args:
        database: Database of the journal.
        monitor: Name of the monitor.
        clock: The clock.
    """
    database.execute(
        f"INSERT INTO {database.table('alert_clocks')} (monitor, clock) VALUES (?, ?) "
        "ON CONFLICT (monitor) DO UPDATE SET clock = excluded.clock",
        (monitor, _encode(clock).decode()),
    )


def read_alerts(database: JournalDatabase, monitor: str) -> dict[AlertKey, HeldAlert]:
    """Alerts that are not inactive.

    Args:
        database: Database of the journal.
        monitor: Name of the monitor.
    """
    table = database.table("alert_states")
    rows = database.execute(f"SELECT rule, labels, alert FROM {table} WHERE monitor = ?", (monitor,))
    return {(rule, labels): _alert(alert) for rule, labels, alert in sorted(rows)}


def monitors(database: JournalDatabase) -> list[str]:
    """Names of the monitors that have evaluated something.

    Args:
        database: Database of the journal.
    """
    return sorted(row[0] for row in database.execute(f"SELECT monitor FROM {database.table('alert_clocks')}"))


def write_alerts(
    database: JournalDatabase, monitor: str, alerts: Mapping[AlertKey, HeldAlert], gone: Iterable[AlertKey]
) -> None:
    """Writes alerts, within a transaction.

    Args:
        database: Database of the journal.
        monitor: Name of the monitor.
        alerts: Those that have changed.
        gone: Those that have become inactive.
    """
    table = database.table("alert_states")
    database.execute_many(
        f"INSERT INTO {table} (monitor, rule, labels, alert) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (monitor, rule, labels) DO UPDATE SET alert = excluded.alert",
        [(monitor, *key, _encode(alert).decode()) for key, alert in alerts.items()],
    )
    database.execute_many(
        f"DELETE FROM {table} WHERE monitor = ? AND rule = ? AND labels = ?", [(monitor, *key) for key in gone]
    )
