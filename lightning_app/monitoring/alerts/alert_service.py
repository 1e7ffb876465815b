"""AlertService: alerts of a monitor that runs: evaluated by its loop, sent by a thread of their own."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing

from lightning_app.errors import describe
from lightning_app.monitoring.alerts.engine import AlertEngine
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from lightning_app.monitoring.report.structs import AlertState, MetricSample
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores import open_database

_log = logging.getLogger("lightning_app.monitoring.alerts")
_PAUSE = 5.0
_END_SECONDS = 5.0


class AlertService:
    """Evaluates rules, and sends messages beside it; `close` ends both.

    Args:
        config: Configuration of monitoring.
        url: Address of the journal, with its password.

    Raises:
        UsageError: A rule or a sink is wrong.
        JournalError: The journal cannot be written.
    """

    def __init__(self, config: MonitorConfig, *, url: str) -> None:
        self._config, self._url = config, url
        self._database = open_database(url)
        try:
            self._engine = AlertEngine.open(self._database, config)
        except BaseException:
            self._database.close()
            raise
        self._end, self._news = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._send, name="alerts", daemon=True)
        self._thread.start()

    def evaluate(self, samples: Sequence[MetricSample], now: float) -> list[AlertState]:
        """Evaluates the rules; messages are sent meanwhile, however long their receivers take.

        Args:
            samples: Samples of all models of the monitor.
            now: Unix seconds.

        Returns:
            Alerts that are not inactive.

        Raises:
            JournalError: The journal cannot be written; nothing has changed.
        """
        states = self._engine.evaluate(samples, now)
        self._news.set()
        return states

    def close(self) -> None:
        """Sends what is due, for a few seconds at most, and gives the lease back."""
        self._end.set()
        self._news.set()
        self._thread.join(_END_SECONDS)
        try:
            self._engine.close()
        except JournalError as error:
            _log.warning("the lease of alerts could not be given back: %s", describe(error))
        finally:
            self._database.close()

    def _send(self) -> None:
        engine: AlertEngine | None = None
        problem = ""
        with ExitStack() as opened:
            while True:
                self._news.clear()
                is_last = self._end.is_set()
                try:
                    if engine is None:
                        opened.close()
                        database = opened.enter_context(closing(open_database(self._url)))
                        engine = AlertEngine.open(database, self._config, holder=self._engine.holder)
                    engine.deliver(time.time())
                    problem = ""
                except Exception as error:  # the journal may be back the next time
                    if problem != (problem := describe(error)):
                        _log.error("no alerts are sent: %s", problem)
                if is_last:
                    break
                self._news.wait(_PAUSE)
