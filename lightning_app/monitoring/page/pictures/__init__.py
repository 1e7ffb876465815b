"""Pictures of reports: functions from numbers to inline SVG."""
