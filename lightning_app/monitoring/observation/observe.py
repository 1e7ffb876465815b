"""Observer: makes the report of a model from the journal, the registry and the packages; writes nothing."""

import time
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from features.definitions.duration import seconds
from lightning_app.errors import UsageError, describe
from lightning_app.monitoring.causes.timeline import (
    alias_events,
    error_change_events,
    experiment_events,
    first_answer_events,
    retraining_events,
)
from lightning_app.monitoring.config.monitor_config import MonitorConfig, MonitoredModel
from lightning_app.monitoring.observation.error_streams import ErrorStreams
from lightning_app.monitoring.observation.history import History, HistoryWindow
from lightning_app.monitoring.observation.package_facts import PackageFacts, PackageFinder
from lightning_app.monitoring.observation.version_report import version_report
from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.quality import delays_of
from lightning_app.monitoring.report.structs import MonitorReport, TimelineEvent, Window
from lightning_app.monitoring.windows.rows import WindowRows, read_rows, together
from lightning_app.monitoring.windows.traffic import Traffic, first_answers, traffic, windows_until
from lightning_app.registry import Registry
from lightning_app.registry.storage.errors import RegistryUnreachableError
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.serving.journal.stores.protocol import JournalReader

_FUTURE_SECONDS = 60.0
_DELAY_ROWS = 20_000


class NoAnswersError(UsageError):
    """The journal has no predictions of the model."""


class _Judged(Struct, kw_only=True):
    """The window that is judged."""

    span: Window
    windows: list[Window]
    answered: list[Traffic]
    share: float
    rows: dict[Window, WindowRows]


class Observer:
    """Makes reports; what cannot change any more is kept from report to report.

    Args:
        config: Configuration of monitoring.
        database: Database of the journal.
        reader: The journal.
        registry: The registry.
        finder: Where packages are found.
    """

    def __init__(
        self,
        config: MonitorConfig,
        *,
        database: JournalDatabase,
        reader: JournalReader,
        registry: Registry,
        finder: PackageFinder,
    ) -> None:
        self._config, self._database, self._reader = config, database, reader
        self._registry, self._finder = registry, finder
        self._history = History()
        self._errors = ErrorStreams()

    def observe(self, model: MonitoredModel, until: float) -> MonitorReport:
        """Makes the report of a model.

        Args:
            model: The model.
            until: End of the window, Unix seconds.

        Raises:
            NoAnswersError: The journal has no predictions of this model.
            UsageError: The contract or the reference that the configuration names cannot be read.
            JournalError: The journal cannot be read.
        """
        ever = first_answers(self._database, model.model)
        if not ever:
            raise NoAnswersError(f"monitor: {self._reader.url} has no predictions of {model.model!r}")
        last = max(one.last for one in ever)
        notes = []
        if last > until + _FUTURE_SECONDS:
            notes.append(f"answers up to {last - until:,.0f} s after the end of the report are not in it")
        judged = self._judged(model, until, notes)
        facts: dict[str, PackageFacts] = {}
        self._look_up(model, judged.answered, facts)
        rows = together([judged.rows[window] for window in judged.windows])
        notes += _row_notes(rows, self._reader.num_unknown_outcomes())
        delays = self._delays(model, facts, until)
        windows = windows_until(until, every=seconds(model.every), length=seconds(model.history))
        self._history.forget(model, before=windows[0].since)
        history = [self._window(model, window, judged, facts, delays, until) for window in windows]
        past = Window(since=windows[0].since, until=until)
        changes = {one.digest: self._errors.changes(model.model, one.digest, past) for one in ever}
        events = self._events(model, ever, past, notes) + error_change_events(ever, model.model, changes)
        return MonitorReport(
            model=model.model,
            journal=self._reader.url,
            made=time.time(),
            window=judged.span,
            every_seconds=seconds(model.every),
            versions=tuple(
                replace(
                    version_report(model, one, rows, facts[one.digest], delays, window=judged.span, now=until),
                    error_changes=changes[one.digest],
                )
                for one in judged.answered
            ),
            history=tuple(point for window in history for point in window.points),
            contract=tuple(finding for window in history for finding in window.findings),
            events=tuple(sorted(events, key=lambda one: one.time)),
            last_answer=min(last, until),
            notes=tuple(notes),
        )

    def _look_up(self, model: MonitoredModel, answered: Sequence[Traffic], facts: dict[str, PackageFacts]) -> None:
        """Adds the facts of versions that answered in a span; those of earlier ones are not needed."""
        for one in answered:
            if one.digest not in facts:
                facts[one.digest] = self._finder.find(model, one.version, one.digest)

    def _judged(self, model: MonitoredModel, until: float, notes: list[str]) -> _Judged:
        """Reads the rows of the window that is judged; of too many, a sample."""
        windows = windows_until(until, every=seconds(model.every), length=seconds(model.window))
        span = Window(since=windows[0].since, until=until)
        answered = traffic(self._database, model.model, span)
        num_rows = sum(one.rows for one in answered)
        share = min(1.0, self._config.most_rows / num_rows) if num_rows else 1.0
        if share < 1:
            notes.append(f"{num_rows:,} rows were answered; an even sample of {share:.1%} of the requests was read")
        rows = {window: read_rows(self._reader, model.model, window, share=share) for window in windows}
        return _Judged(span=span, windows=windows, answered=answered, share=share, rows=rows)

    def _delays(self, model: MonitoredModel, facts: dict[str, PackageFacts], until: float) -> DelayModel:
        """How long outcomes take, from a sample of rows that are old enough to say so."""
        length = max(seconds(model.history), 3 * seconds(model.quality.outcome_within))
        span = Window(since=until - length, until=until)
        answered = traffic(self._database, model.model, span)
        self._look_up(model, answered, facts)
        share = min(1.0, _DELAY_ROWS / max(1, sum(one.rows for one in answered)))
        rows = read_rows(self._reader, model.model, span, share=share)
        parts = [(rows.of_version(one.digest).table, facts[one.digest].quality) for one in answered]
        return delays_of(parts, settings=model.quality, now=until)

    def _window(
        self,
        model: MonitoredModel,
        window: Window,
        judged: _Judged,
        facts: dict[str, PackageFacts],
        delays: DelayModel,
        now: float,
    ) -> HistoryWindow:
        answered = traffic(self._database, model.model, window)
        if (known := self._history.find(model, window, answered)) is not None:
            return known
        self._look_up(model, answered, facts)
        rows = judged.rows.get(window)
        if rows is None:
            rows = read_rows(self._reader, model.model, window, share=judged.share)
        self._errors.feed(model, window, answered, rows, facts, delays, now=now)
        return self._history.add(model, window, answered, rows, facts, delays, now=now)

    def _events(
        self, model: MonitoredModel, ever: Sequence[Traffic], span: Window, notes: list[str]
    ) -> list[TimelineEvent]:
        events = first_answer_events(ever, model.model, span)
        events += experiment_events(self._database, model.model, span)
        events += retraining_events(self._database, model.registered or model.model, span)
        if any(one.version is not None for one in ever):
            try:
                events += alias_events(self._registry.history(model.registered or model.model), span)
            except (RegistryUnreachableError, UsageError) as error:
                notes.append(f"changes of aliases are missing: {describe(error)}")
        return events


def _row_notes(rows: WindowRows, num_unknown: int) -> list[str]:
    report = rows.report
    notes = [f"{count:,} requests left out: {reason}" for reason, count in report.left_out.items()]
    notes += report.notes
    if report.num_unmatched:
        notes.append(f"{report.num_unmatched:,} outcomes are of rows that the answer does not have")
    if num_unknown:
        notes.append(f"{num_unknown:,} outcomes of the journal are of requests that it does not have")
    return notes
