"""How a trial's process finds the sweep that it belongs to."""

ADDRESS = "LIGHTNING_APP_SWEEP"
"""Environment variable: the address at which the sweep listens, the number of the trial and the metrics, as JSON."""
