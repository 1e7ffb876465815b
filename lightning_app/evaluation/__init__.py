"""Evaluation of predictions against the truth: scores, intervals, tables and pictures."""
