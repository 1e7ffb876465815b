"""Error streams: the errors of each version, fed once per row, in the order of the requests, as they become settled."""

import math
from collections.abc import Mapping, Sequence

from features.definitions.duration import seconds
from lightning_app.monitoring.config.monitor_config import MonitoredModel
from lightning_app.monitoring.observation.package_facts import PackageFacts
from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.error_stream import ErrorStream
from lightning_app.monitoring.quality.row_errors import row_errors, typical_error
from lightning_app.monitoring.report.structs import ErrorChange, Window
from lightning_app.monitoring.windows.rows import WindowRows
from lightning_app.monitoring.windows.traffic import Traffic

_WRITTEN_SECONDS = 60.0
"""How long a request may take to reach the journal."""


class ErrorStreams:
    """Errors of all models and versions."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], ErrorStream] = {}
        self._fed: dict[tuple[str, str], float] = {}

    def feed(
        self,
        model: MonitoredModel,
        window: Window,
        answered: Sequence[Traffic],
        rows: WindowRows,
        facts: Mapping[str, PackageFacts],
        delays: DelayModel,
        *,
        now: float,
    ) -> None:
        """Takes those rows of a window that have become settled since they were looked at last.

        A window whose outcomes are all known has been taken wholly, so that it need not be read again.

        Args:
            model: The model.
            window: The window; windows come in the order of time.
            answered: Its traffic.
            rows: Its rows, of all versions.
            facts: What the packages say, by digest.
            delays: How long outcomes take.
            now: Unix seconds.
        """
        change = model.quality.change
        if change is None:
            return
        within = seconds(model.quality.outcome_within)
        age = min(within, max(delays.settled_age, _WRITTEN_SECONDS))
        for digest in dict.fromkeys(one.digest for one in answered):
            key, quality, table = (model.model, digest), facts[digest].quality, rows.of_version(digest).table
            since, until = max(window.since, self._fed.get(key, -math.inf)), min(window.until, now - age)
            # A package that is away now may be back the next time, and the window is then read again.
            if until <= since or not facts[digest].is_final:
                continue
            self._fed[key] = until
            if quality.form is None or table.is_empty():
                continue
            fresh = Window(since=since, until=until)
            times, errors = row_errors(table, quality.form, window=fresh, within=within, now=now)
            if key not in self._streams:
                is_class = quality.form.kind == "classes"
                self._streams[key] = ErrorStream(
                    run_length=change.run_length, kind="classes" if is_class else "numbers",
                    scale=None if is_class else typical_error(quality.held_out),
                )  # fmt: skip
            self._streams[key].feed(times, errors, age=age)

    def changes(self, model: str, digest: str, span: Window) -> tuple[ErrorChange, ...]:
        """Rises of the error of a version in a span of time.

        Args:
            model: Name of the model.
            digest: Digest of the package.
            span: The span; what was known at its end counts.
        """
        stream = self._streams.get((model, digest))
        found = () if stream is None else stream.changes
        return tuple(one for one in found if span.since <= one.time and one.known <= span.until)
