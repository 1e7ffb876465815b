"""AlertEngine: evaluates rules on samples, keeps the states, and writes what has to be sent into the outbox."""

import os
import socket
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from features.definitions.duration import seconds
from lightning_app.monitoring.alerts.alert_clock import AlertClock
from lightning_app.monitoring.alerts.delivery import Delivered, Delivery
from lightning_app.monitoring.alerts.grouping import messages_for
from lightning_app.monitoring.alerts.held_alert import HeldAlert
from lightning_app.monitoring.alerts.kept_states import kept_states
from lightning_app.monitoring.alerts.readings import Reading, read
from lightning_app.monitoring.alerts.rules.check import check_alerts, hold_seconds
from lightning_app.monitoring.alerts.store import outbox
from lightning_app.monitoring.alerts.store.schema import make_tables
from lightning_app.monitoring.alerts.store.silences import Silence, covering, read_silences
from lightning_app.monitoring.alerts.store.states import AlertKey, read_alerts, read_clock, write_alerts, write_clock
from lightning_app.monitoring.alerts.transitions import Patience, advance
from lightning_app.monitoring.config.alert_rules import AlertRule
from lightning_app.monitoring.config.alert_sinks import AnySink
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from lightning_app.monitoring.report.structs import AlertState, MetricSample
from lightning_app.serving.experiments.store import Lease
from lightning_app.serving.journal.stores.database import JournalDatabase

_LEASE_SECONDS = 60.0
_DAY = 86_400.0
_NO_WINDOWS: Mapping[str, float] = MappingProxyType({})
_REMOVED = "its rule was removed"


class AlertEngine:
    """Alerts of one monitor.

    Of several processes with the same name of the monitor, the one that holds its lease evaluates and sends; the others
    only read. A change of states and the messages about it are written together.

    Args:
        database: Database of the journal; used by the calling thread alone.
        rules: The rules.
        sinks: Configurations of the sinks.
        every: Length of the windows of each model in seconds, for rules with `windows`; a day if it is not here.
        monitor: Name of the monitor.
        holder: Who asks for the lease; None makes a name. An engine that delivers for this one has the same.

    Attributes:
        holder: Who asks for the lease.

    Raises:
        UsageError: A rule or a sink is wrong.
        JournalError: The journal cannot be written.
    """

    def __init__(
        self,
        database: JournalDatabase,
        rules: Sequence[AlertRule],
        sinks: Sequence[AnySink],
        *,
        every: Mapping[str, float] = _NO_WINDOWS,
        monitor: str = "monitor",
        holder: str | None = None,
    ) -> None:
        check_alerts(rules, sinks)
        make_tables(database)
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._database, self._rules, self._sink_configs = database, {rule.name: rule for rule in rules}, tuple(sinks)
        self._every, self._monitor = every, monitor
        self._lease = Lease(database, name=f"alerts:{monitor}", holder=self.holder, seconds=_LEASE_SECONDS)
        self._delivery = Delivery(database, sinks, monitor=monitor, lease=self._lease)

    @classmethod
    def open(cls, database: JournalDatabase, config: MonitorConfig, *, holder: str | None = None) -> "AlertEngine":
        """The engine of a configuration.

        Args:
            database: Database of the journal; used by the calling thread alone.
            config: The configuration.
            holder: As for the class.

        Raises:
            UsageError: A rule or a sink is wrong.
            JournalError: The journal cannot be written.
        """
        every = {model.model: seconds(model.every) for model in config.models}
        return cls(database, config.alerts, config.sinks, every=every, monitor=config.name, holder=holder)

    def evaluate(self, samples: Sequence[MetricSample], now: float) -> list[AlertState]:
        """Evaluates all rules.

        An alert whose labels are not measured any more ends if its model was measured this time; if it was not, e.g.
        because its report failed, the alert stays as it is.

        Args:
            samples: Samples of all models of the monitor.
            now: Unix seconds.

        Returns:
            Alerts that are not inactive.

        Raises:
            JournalError: The journal cannot be written; nothing has changed.
        """
        if self._lease.hold() is not None:
            with self._database.transaction():
                if self._lease.confirm():
                    self._evaluate(samples, now)
        return self.states()

    def deliver(self, now: float) -> Delivered:
        """Sends what is due; to be called by another thread than `evaluate`, with an engine of its own.

        Args:
            now: Unix seconds.

        Raises:
            JournalError: The journal cannot be written.
        """
        return self._delivery.deliver(now)

    def states(self) -> list[AlertState]:
        """Alerts that are not inactive, without evaluating anything.

        Raises:
            JournalError: The journal cannot be read.
        """
        return kept_states(self._database, monitor=self._monitor)

    def close(self) -> None:
        """Gives the lease back, so that another process goes on at once.

        Raises:
            JournalError: The journal cannot be written; the lease ends by itself.
        """
        self._lease.release()

    def _evaluate(self, samples: Sequence[MetricSample], now: float) -> None:
        database, monitor = self._database, self._monitor
        clock = (read_clock(database, monitor) or AlertClock(latest=now)).at(now)
        write_clock(database, monitor, clock)
        if clock.is_frozen:
            return
        before = read_alerts(database, monitor)
        readings = {
            (rule.name, reading.key): reading for rule in self._rules.values() for reading in read(rule, samples)
        }
        measured = {sample.labels.get("model", "") for sample in samples}
        after: dict[AlertKey, HeldAlert] = {}
        for key in dict.fromkeys((*before, *readings)):
            if (alert := self._advanced(key, before.get(key), readings.get(key), measured, clock, now)) is not None:
                after[key] = alert
        firing = {key for key, alert in before.items() if alert.status == "firing"}
        due = {key: alert for key, alert in after.items() if self._is_due(key, alert, key in firing, clock)}
        after |= self._send(due, read_silences(database), clock, now)
        changed = {key: alert for key, alert in after.items() if before.get(key) != alert}
        write_alerts(database, monitor, changed, [key for key in before if key not in after])
        outbox.prune(database, now=now)

    def _advanced(
        self,
        key: AlertKey,
        held: HeldAlert | None,
        reading: Reading | None,
        measured: Iterable[str],
        clock: AlertClock,
        now: float,
    ) -> HeldAlert | None:
        rule = self._rules.get(key[0])
        if rule is None:
            assert held is not None
            if held.status == "firing":
                held = replace(held, text=f"{held.text}; {_REMOVED}")
            return advance(held, None, Patience(0.0, 0.0), elapsed=clock.elapsed, now=now)
        if held is not None and reading is None and not rule.absent and held.status != "resolved":
            model = held.labels.get("model")
            if (model is not None and model not in measured) or not measured:
                return held
        labels = reading.labels if reading is not None else held.labels if held is not None else {}
        every = self._every.get(labels.get("model", ""), max(self._every.values(), default=_DAY))
        keep = 0.0 if rule.keep_firing_for is None else seconds(rule.keep_firing_for)
        return advance(held, reading, Patience(hold_seconds(rule, every), keep), elapsed=clock.elapsed, now=now)

    def _send(
        self, due: Mapping[AlertKey, HeldAlert], silences: Sequence[Silence], clock: AlertClock, now: float
    ) -> dict[AlertKey, HeldAlert]:
        """Writes what is not silenced into the outbox; the alerts that were sent."""
        due = {
            key: replace(alert, sent=clock.elapsed, num_sent=alert.num_sent + 1)
            for key, alert in due.items()
            # Who was told that it fires is told that it ends, also in a silence.
            if alert.status == "resolved" or covering(silences, alert.labels) is None
        }
        told: set[AlertKey] = set()
        for sink in self._sink_configs:
            keys, messages = messages_for(sink, due, self._rules, monitor=self._monitor, now=now)
            outbox.put(self._database, sink.name, messages)
            told |= keys
        return {key: due[key] for key in told}

    def _is_due(self, key: AlertKey, alert: HeldAlert, was_firing: bool, clock: AlertClock) -> bool:
        if alert.status == "resolved":
            return was_firing and alert.num_sent > 0
        if alert.status != "firing":
            return False
        rule = self._rules.get(key[0])
        if alert.sent is None:
            return True
        every = None if rule is None or rule.repeat_every is None else seconds(rule.repeat_every)
        return every is not None and clock.elapsed - alert.sent >= every
