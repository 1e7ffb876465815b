"""Published reports: files in the runtime folder of a server, which its pages and its metrics show."""

import logging
from pathlib import Path

import msgspec

from lightning_app.atomic_write import write_whole
from lightning_app.errors import describe
from lightning_app.monitoring.observation.monitoring_loop import Observation
from lightning_app.monitoring.page.report_files import ReportFile
from lightning_app.monitoring.page.report_page import write_html
from lightning_app.monitoring.page.summary import summary
from lightning_app.monitoring.report.exposition import metrics_text
from lightning_app.monitoring.report.samples import metric_samples
from lightning_app.serving.config.monitor_files import FOLDER, METRICS, PAGE, REPORTS, SUMMARY

_log = logging.getLogger("lightning_app.monitoring")


def publish(observation: Observation, folder: Path, *, title: str) -> None:
    """Writes what the last round has found, beside the last reports of models that failed in it.

    Args:
        observation: Reports, and why there are no new ones.
        folder: Runtime folder of the server.
        title: Title of the page.
    """
    reports, problems = observation.reports, observation.problems
    target = folder / FOLDER
    try:
        target.mkdir(exist_ok=True)
        write_whole(target / REPORTS, msgspec.json.encode(ReportFile(reports=reports, problems=problems)).decode())
        samples = [sample for report in reports for sample in metric_samples(report)]
        write_whole(target / METRICS, metrics_text(samples).decode())
        write_whole(target / SUMMARY, msgspec.json.encode(summary(reports, problems)).decode())
        write_whole(target / PAGE, write_html(*reports, title=title, problems=problems))
    except OSError as error:
        _log.error("the page of monitoring cannot be written: %s", describe(error))
