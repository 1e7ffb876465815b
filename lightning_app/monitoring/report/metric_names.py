"""Metric names of monitoring: alert rules, `/metrics`, Prometheus rules and dashboards use these and no others."""

from typing import NamedTuple


class Metric(NamedTuple):
    """A metric.

    Attributes:
        help: What it is, one line.
        labels: Names of its labels.
    """

    help: str
    labels: tuple[str, ...]


_VERSION = ("model", "version")
_COLUMN = (*_VERSION, "column")
METRICS: dict[str, Metric] = {
    "monitor_requests": Metric("Answered requests of the window.", _VERSION),
    "monitor_rows": Metric("Answered rows of the window.", _VERSION),
    "monitor_degraded_share": Metric("Share of requests that a fallback answered.", _VERSION),
    "monitor_latency_p50_ms": Metric("Median latency in milliseconds.", _VERSION),
    "monitor_latency_p99_ms": Metric("99 % quantile of the latency in milliseconds.", _VERSION),
    "monitor_drifted": Metric("1 if anything drifted, after correction for all tests; else 0.", _VERSION),
    "monitor_drifted_columns": Metric("Columns that drifted.", _VERSION),
    "monitor_drifted_windows": Metric("Consecutive windows of the history, up to the last, with drift.", _VERSION),
    "monitor_column_drifted": Metric("1 if the column drifted, else 0.", _COLUMN),
    "monitor_column_psi": Metric("Population stability index of the column.", _COLUMN),
    "monitor_column_p_value": Metric("p-value of the column's drift, corrected for all tests.", _COLUMN),
    "monitor_column_missing": Metric("Share of missing values of the column.", _COLUMN),
    "monitor_column_unknown": Metric("Share of categories that the reference does not have.", _COLUMN),
    "monitor_slice_drifted": Metric("1 if the slice drifted, else 0.", (*_VERSION, "slice")),
    "monitor_quality": Metric("Metric of the outcomes.", (*_VERSION, "metric", "arm", "slice")),
    "monitor_quality_low": Metric("Lower end of its confidence sequence.", (*_VERSION, "metric", "arm", "slice")),
    "monitor_quality_high": Metric("Upper end of its confidence sequence.", (*_VERSION, "metric", "arm", "slice")),
    "monitor_estimated": Metric("Metric as expected from the answers, before outcomes.", (*_VERSION, "metric")),
    "monitor_estimate_error": Metric("Estimated minus measured main metric.", _VERSION),
    "monitor_quality_mature": Metric("1 if few rows are too young to be judged, else 0.", _VERSION),
    "monitor_outcome_p_value": Metric(
        "p-value of a test of the outcomes against the held-out rows: calibration or outcomes.", (*_VERSION, "test")
    ),
    "monitor_error_change_seconds": Metric(
        "Seconds since the last rise of the error, row by row, became known; absent without one.", _VERSION
    ),
    "monitor_error_change_ratio": Metric("Mean error after this rise over that before; absent without one.", _VERSION),
    "monitor_labelled_share": Metric("Share of rows with an outcome.", _VERSION),
    "monitor_waiting_rows": Metric("Rows whose outcome may still come.", _VERSION),
    "monitor_overdue_share": Metric("Share of rows without an outcome that are older than outcomes take.", _VERSION),
    "monitor_contract_violations": Metric("Rows of the last window that violate the rule.", ("model", "rule")),
    "monitor_last_answer_seconds": Metric("Seconds since the last answer.", ("model",)),
    "monitor_report_seconds": Metric("Seconds since the report was made.", ("model",)),
    "monitor_report_timestamp_seconds": Metric("When the report was made, Unix seconds.", ("model",)),
    "monitor_alerts": Metric("Alerts by status, for dashboards.", ("model", "alert", "severity", "status")),
}
