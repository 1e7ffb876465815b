"""Summary of reports for the status page of a server."""

from collections.abc import Iterable, Mapping

from lightning_app.monitoring.page.verdict import STATUS_WORDS, verdict
from lightning_app.monitoring.report.structs import MonitorReport
from lightning_app.serving.config.monitor_files import ModelSummary, Summary


def summary(reports: Iterable[MonitorReport], problems: Mapping[str, str]) -> Summary:
    """Verdicts of reports.

    Args:
        reports: The newest report of each model.
        problems: Why there are no newer ones.
    """
    models = []
    for report in reports:
        judged = verdict(report)
        words = STATUS_WORDS[judged.status]
        models.append(
            ModelSummary(model=report.model, status=judged.status, words=words, text=judged.text, made=report.made)
        )
    return Summary(models=tuple(models), problems=dict(problems))
