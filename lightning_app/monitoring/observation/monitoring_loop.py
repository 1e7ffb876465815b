"""MonitoringLoop: makes the reports of all models again and again, and goes on where something fails."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from lightning_app.errors import describe
from lightning_app.monitoring.alerts import AlertService, kept_states
from lightning_app.monitoring.alerts.rules import check_alerts
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from lightning_app.monitoring.observation.sources import Sources, opened_sources
from lightning_app.monitoring.report.samples import metric_samples
from lightning_app.monitoring.report.structs import MonitorReport
from lightning_app.serving.journal.errors import JournalError

_log = logging.getLogger("lightning_app.monitoring")


class Observation(Struct, frozen=True, kw_only=True):
    """What the last round has found.

    Attributes:
        reports: Newest report of each model; an earlier one where the last round failed.
        problems: Why there is no new one, by model; `journal` if nothing could be read.
    """

    reports: tuple[MonitorReport, ...] = ()
    problems: dict[str, str] = {}


class MonitoringLoop:
    """Makes reports and evaluates alerts; journal and registry are opened again when they were away.

    Args:
        config: Configuration of monitoring.
        folders: Gives the folders of packages that may have answered.

    Raises:
        UsageError: A rule or a sink of alerts is wrong.
    """

    def __init__(self, config: MonitorConfig, *, folders: Callable[[], Sequence[Path]] = tuple) -> None:
        check_alerts(config.alerts, config.sinks)
        self._config, self._folders = config, folders
        self._open = ExitStack()
        self._sources: Sources | None = None
        self._alerts: AlertService | None = None
        self._reports: dict[str, MonitorReport] = {}
        self._problems: dict[str, str] = {}

    def tick(self, now: float) -> Observation:
        """Makes the report of each model, then evaluates the alerts.

        Args:
            now: Unix seconds.
        """
        problems: dict[str, str] = {}
        try:
            sources = self._opened()
            new = self._observe(sources, now, problems)
            self._reports |= new
            self._evaluate(new, now)
        except Exception as error:
            problems["journal"] = describe(error)
            if self._problems.get("journal") != problems["journal"]:
                _log.warning("no reports: %s", describe(error))
            self.close()
        self._problems = problems
        return Observation(reports=tuple(self._reports.values()), problems=problems)

    def close(self) -> None:
        """Closes what is open."""
        self._sources = self._alerts = None
        self._open.close()

    def _opened(self) -> Sources:
        if self._sources is None:
            sources = self._open.enter_context(opened_sources(self._config, folders=self._folders))
            # Without rules only alerts of rules that were removed are left to be resolved.
            if self._config.alerts or kept_states(sources.database, monitor=self._config.name):
                self._alerts = AlertService(self._config, url=sources.url)
                self._open.callback(self._alerts.close)
            self._sources = sources
        return self._sources

    def _observe(self, sources: Sources, now: float, problems: dict[str, str]) -> dict[str, MonitorReport]:
        new = {}
        for model in sources.models():
            try:
                new[model.model] = sources.observer.observe(model, now)
            except JournalError:
                raise
            except Exception as error:  # the other models go on
                problems[model.model] = describe(error)
                if self._problems.get(model.model) != problems[model.model]:
                    _log.warning("%s: no report: %s", model.model, describe(error), exc_info=error)
        return new

    def _evaluate(self, new: Mapping[str, MonitorReport], now: float) -> None:
        if self._alerts is None:
            return
        states = self._alerts.evaluate([sample for report in new.values() for sample in metric_samples(report)], now)
        for name, report in self._reports.items():
            own = tuple(state for state in states if state.labels.get("model", name) == name)
            self._reports[name] = replace(report, alerts=own)
