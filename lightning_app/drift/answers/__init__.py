"""Answers and outcomes of a task as arrays, and what held-out rows say of both: errors and calibration."""
