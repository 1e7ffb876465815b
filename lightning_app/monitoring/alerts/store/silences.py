"""Silences: alerts that are not sent for a while, by whom and why."""

import secrets
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from lightning_app.monitoring.alerts.rules.selectors import matches
from lightning_app.monitoring.config.alert_rules import Selector
from lightning_app.serving.journal.stores.database import JournalDatabase

_COLUMNS = "id, matchers, created, until, who, reason, ended"
_matchers = msgspec.json.Decoder(dict[str, Selector]).decode


class Silence(Struct, frozen=True, kw_only=True):
    """A silence.

    Attributes:
        id: Its id.
        matchers: Labels of the alerts that it covers.
        created: When it was made, Unix seconds.
        until: When it ends.
        who: Who made it.
        reason: Why.
        ended: When it was ended before its time; None if it was not.
    """

    id: str
    matchers: dict[str, Selector]
    created: float
    until: float
    who: str
    reason: str
    ended: float | None = None

    def is_active(self, now: float) -> bool:
        """Whether it holds.

        Args:
            now: Unix seconds.
        """
        return self.ended is None and now < self.until


def covering(silences: Iterable[Silence], labels: Mapping[str, str]) -> Silence | None:
    """The silence that covers an alert, the one that lasts longest; None if there is none.

    Args:
        silences: Those that hold.
        labels: Labels of the alert.
    """
    fitting = [silence for silence in silences if matches(silence.matchers, labels)]
    return max(fitting, key=lambda silence: silence.until, default=None)


def add_silence(
    database: JournalDatabase, matchers: Mapping[str, Selector], *, seconds: float, who: str, reason: str
) -> Silence:
    """Makes a silence that holds from now on.

    Args:
        database: Database of the journal.
        matchers: Labels of the alerts; at least one.
        seconds: How long.
        who: Who makes it.
        reason: Why.

    Raises:
        JournalError: The journal cannot be written.
    """
    assert matchers, "a silence of everything is no silence that anybody means"
    now = database.now()
    silence = Silence(
        id=secrets.token_hex(4), matchers=dict(matchers), created=now, until=now + seconds, who=who, reason=reason
    )
    with database.transaction():
        database.execute(
            f"INSERT INTO {database.table('alert_silences')} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, NULL)",
            (silence.id, msgspec.json.encode(matchers).decode(), now, silence.until, who, reason),
        )
    return silence


def end_silence(database: JournalDatabase, silence: str) -> bool:
    """Ends a silence before its time.

    Args:
        database: Database of the journal.
        silence: Its id.

    Returns:
        Whether there was one that held.

    Raises:
        JournalError: The journal cannot be written.
    """
    with database.transaction():
        now = database.now()
        rows = database.execute(
            f"UPDATE {database.table('alert_silences')} SET ended = ? WHERE id = ? AND ended IS NULL AND until > ? "
            "RETURNING id",
            (now, silence, now),
        )
    return bool(rows)


def read_silences(database: JournalDatabase, *, only_active: bool = True) -> list[Silence]:
    """Silences, those that were made last first.

    Args:
        database: Database of the journal.
        only_active: Whether to leave out those that have ended.

    Raises:
        JournalError: The journal cannot be read.
    """
    rows = database.execute(f"SELECT {_COLUMNS} FROM {database.table('alert_silences')} ORDER BY created DESC, id")
    silences = [
        Silence(id=row[0], matchers=_matchers(row[1]), created=row[2], until=row[3], who=row[4], reason=row[5],
                ended=row[6])
        for row in rows
    ]  # fmt: skip
    now = database.now()
    return [silence for silence in silences if silence.is_active(now)] if only_active else silences
