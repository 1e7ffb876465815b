"""Runs: the folder of a fit, what is recorded in it, and how it is tracked."""
