"""Address of the coordinator: the environment variable through which a trial process reports to its sweep."""

ADDRESS = "LIGHTNING_APP_SWEEP"
"""Environment variable: the address at which the sweep listens, the number of the trial and the metrics, as JSON."""
