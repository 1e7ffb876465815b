"""Metrics that are expected before outcomes come, from what held-out rows say of answers like these."""
