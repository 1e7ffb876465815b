"""Alerts: rules on the metrics of monitoring, their states, silences, and the messages that are sent."""

from lightning_app.monitoring.alerts.engine import AlertEngine

__all__ = ["AlertEngine"]
