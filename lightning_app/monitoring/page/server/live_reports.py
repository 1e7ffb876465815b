"""LiveReports: newest reports with their pages, made again and again by a thread."""

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from features.definitions.duration import seconds
from lightning_app.errors import describe
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from lightning_app.monitoring.observation.monitoring_loop import MonitoringLoop, Observation
from lightning_app.monitoring.page.report_files import ReportFile
from lightning_app.monitoring.page.report_page import write_html
from lightning_app.monitoring.report.exposition import metrics_text
from lightning_app.monitoring.report.samples import metric_samples

_log = logging.getLogger("lightning_app.monitoring")
_END_SECONDS = 10.0


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What the last round has found, ready to be sent.

    Attributes:
        time: When the round ended, Unix seconds.
        observation: Reports, and why there are no newer ones.
        page: Page of all models.
        pages: Page of each model.
        data: All reports as JSON.
    """

    time: float
    observation: Observation
    page: str
    pages: dict[str, str]
    data: bytes

    @property
    def made(self) -> float | None:
        """When the oldest report was made; None without any."""
        return min((report.made for report in self.observation.reports), default=None)

    def metrics(self) -> bytes:
        """Numbers of the reports for Prometheus; ages are those of now."""
        return metrics_text([sample for report in self.observation.reports for sample in metric_samples(report)])


class LiveReports:
    """Makes reports until it is stopped; where a round fails, the last one stays.

    Args:
        config: Configuration of monitoring.
        loop: Makes the reports.
    """

    def __init__(self, config: MonitorConfig, loop: MonitoringLoop) -> None:
        self._config, self._loop = config, loop
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self.newest: Published | None = None

    @property
    def refresh_seconds(self) -> float:
        """How often reports are made."""
        return seconds(self._config.refresh)

    @property
    def is_alive(self) -> bool:
        """Whether reports are still made."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Starts the thread; the first report is there some time later."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after its round, for which it waits a few seconds."""
        self._end.set()
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while not self._end.is_set():
            begin = time.monotonic()
            _logged(self._round)
            # A report may take as long as a fifth of the time: a large journal does not keep a core busy.
            self._end.wait(max(self.refresh_seconds, 4 * (time.monotonic() - begin)))
        _logged(self._loop.close)

    def _round(self) -> None:
        self.newest = published(self._loop.tick(time.time()), title=self._config.title)


def published(observation: Observation, *, title: str) -> Published:
    """Pages and JSON of a round.

    Args:
        observation: What it has found.
        title: Title of the pages.
    """
    reports, problems = observation.reports, observation.problems
    links = [("JSON", "report.json"), ("Metrics", "metrics")]
    pages = {}
    for report in reports:
        own = {name: text for name, text in problems.items() if name in (report.model, "journal")}
        others = (
            [("All models", "../"), ("JSON", "../report.json")] if len(reports) > 1 else [("JSON", "../report.json")]
        )
        pages[report.model] = write_html(report, title=title, problems=own, links=others)
    return Published(
        time=time.time(),
        observation=observation,
        page=write_html(*reports, title=title, problems=problems, links=links),
        pages=pages,
        data=msgspec.json.encode(ReportFile(reports=reports, problems=problems)),
    )


def _logged(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception as error:  # the server goes on with what it has
        _log.error("no reports: %s", describe(error), exc_info=error)
