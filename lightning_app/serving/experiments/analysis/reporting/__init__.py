"""Reporting of an analysis: sections, report.md and pictures."""
