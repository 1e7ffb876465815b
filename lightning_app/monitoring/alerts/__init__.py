"""Alerts: rules on the metrics of monitoring, their states, silences, and the messages that are sent."""

from lightning_app.monitoring.alerts.alert_service import AlertService
from lightning_app.monitoring.alerts.engine import AlertEngine
from lightning_app.monitoring.alerts.kept_states import kept_states

__all__ = ["AlertEngine", "AlertService", "kept_states"]
