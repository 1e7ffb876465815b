"""Observation: the parts of monitoring put together to a report."""
