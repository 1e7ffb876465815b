"""Alert delivery: sends what is in the outbox, in a thread of its own, so that a slow receiver delays no report."""

import logging
import threading
import time

from lightning_app.errors import describe
from lightning_app.monitoring.alerts.engine import AlertEngine
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from lightning_app.serving.journal.stores import open_database

_log = logging.getLogger("lightning_app.monitoring")
_SECONDS = 2.0


class AlertDelivery(threading.Thread):
    """Sends messages until it is stopped; a journal that is away is waited for.

    Args:
        config: Configuration of monitoring.
        url: Address of the journal.
        holder: Who evaluates, and therefore sends.
    """

    def __init__(self, config: MonitorConfig, url: str, *, holder: str) -> None:
        super().__init__(name="alert-delivery", daemon=True)
        self._config, self._url, self._holder = config, url, holder
        self._end = threading.Event()

    def run(self) -> None:
        """Sends what is due, again and again."""
        problem = ""
        while not self._end.is_set():
            try:
                self._deliver()
            except Exception as error:
                if describe(error) != problem:
                    _log.warning("messages of alerts wait: %s", describe(error))
                problem = describe(error)
                self._end.wait(_SECONDS)

    def stop(self) -> None:
        """Ends it; messages that were not sent stay in the outbox."""
        self._end.set()
        self.join(timeout=5)

    def _deliver(self) -> None:
        database = open_database(self._url, create=False)
        try:
            engine = AlertEngine.open(database, self._config, holder=self._holder)
            while not self._end.is_set():
                engine.deliver(time.time())
                self._end.wait(_SECONDS)
        finally:
            database.close()
