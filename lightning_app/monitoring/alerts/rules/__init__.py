"""Rules of alerts: what they select, when they hold, and what they say."""

from lightning_app.monitoring.alerts.rules.check import check_alerts

__all__ = ["check_alerts"]
