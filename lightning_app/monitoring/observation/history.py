"""History: points of the windows before now, kept once they cannot change any more."""

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from features.definitions.duration import seconds
from lightning_app.drift.report import drift_report
from lightning_app.errors import describe
from lightning_app.monitoring.causes.contract_findings import contract_findings
from lightning_app.monitoring.causes.timeline import version_label
from lightning_app.monitoring.config.monitor_config import MonitoredModel
from lightning_app.monitoring.observation.package_facts import PackageFacts
from lightning_app.monitoring.observation.watched_rows import settings_for, watched_rows
from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.quality import quality_results
from lightning_app.monitoring.report.structs import ContractFinding, Window, WindowPoint
from lightning_app.monitoring.windows.rows import WindowRows
from lightning_app.monitoring.windows.traffic import Traffic


class HistoryWindow(Struct, frozen=True, kw_only=True):
    """What is known of a window.

    Attributes:
        points: A point for each version that answered.
        findings: Violations of the contract.
        requests: Answered requests.
    """

    points: tuple[WindowPoint, ...] = ()
    findings: tuple[ContractFinding, ...] = ()
    requests: int = 0


class History:
    """Windows of all models."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, Window], HistoryWindow] = {}

    def find(self, model: MonitoredModel, window: Window, answered: Sequence[Traffic]) -> HistoryWindow | None:
        """A window that cannot change any more; None if it has to be looked at.

        Args:
            model: The model.
            window: The window.
            answered: Its traffic.
        """
        if not answered:
            return HistoryWindow()
        known = self._windows.get((model.model, window))
        # A spill file that was written later brings further requests.
        return known if known is not None and known.requests == sum(one.requests for one in answered) else None

    def forget(self, model: MonitoredModel, *, before: float) -> None:
        """Drops the windows that a report does not go back to any more.

        Args:
            model: The model.
            before: Begin of the oldest window that is kept, Unix seconds.
        """
        for key in [key for key in self._windows if key[0] == model.model and key[1].since < before]:
            del self._windows[key]

    def add(
        self,
        model: MonitoredModel,
        window: Window,
        answered: Sequence[Traffic],
        rows: WindowRows,
        facts: Mapping[str, PackageFacts],
        delays: DelayModel,
        *,
        now: float,
    ) -> HistoryWindow:
        """Looks at a window, and keeps what was found if no outcome may come any more and all packages were found.

        Args:
            model: The model.
            window: The window.
            answered: Its traffic, the busiest version first.
            rows: Its rows, of all versions.
            facts: What the packages say, by digest.
            delays: How long outcomes take.
            now: Unix seconds.
        """
        found = HistoryWindow(
            points=tuple(_point(model, one, rows, facts[one.digest], delays, window, now) for one in answered),
            findings=_findings(facts[answered[0].digest], rows, window),
            requests=sum(one.requests for one in answered),
        )
        are_final = all(facts[one.digest].is_final for one in answered)
        if are_final and now - window.until > seconds(model.quality.outcome_within):
            self._windows[model.model, window] = found
        return found


def _point(
    model: MonitoredModel,
    answered: Traffic,
    rows: WindowRows,
    facts: PackageFacts,
    delays: DelayModel,
    window: Window,
    now: float,
) -> WindowPoint:
    own, label = rows.of_version(answered.digest), version_label(model.model, answered)
    point = WindowPoint(window=window, label=label, requests=answered.requests, rows=answered.rows)
    if own.table.is_empty():  # none of a sample
        return point
    quality = quality_results(
        own.table, version=label, facts=facts.quality, settings=model.quality, window=window, now=now, delays=delays,
        by_arm=False,
    )  # fmt: skip
    point = replace(point, quality=quality[0])
    if facts.reference is None:
        return point
    watched = watched_rows(own, facts, delays, now=now)
    drift = drift_report(facts.reference, watched, settings=settings_for(model.drift, watched, facts.reference))
    return replace(
        point,
        drifted=None if drift.rows_needed is not None else tuple(one.column for one in drift.columns if one.drifted),
        psi={one.column: one.psi for one in drift.columns if one.psi is not None and math.isfinite(one.psi)},
        psi_expected={one.column: one.psi_expected for one in drift.columns if one.psi_expected is not None},
        missing={one.column: one.missing for one in drift.columns if one.missing},
    )


def _findings(facts: PackageFacts, rows: WindowRows, window: Window) -> tuple[ContractFinding, ...]:
    """Violations of the contract of the busiest version."""
    if facts.contract is None or rows.table.is_empty():
        return ()
    try:
        return tuple(contract_findings(facts.contract, rows.requests, window))
    except ValueError as error:
        height = rows.table.height
        return (ContractFinding(window=window, rule=describe(error), column=None, rows=height, violations=height),)
