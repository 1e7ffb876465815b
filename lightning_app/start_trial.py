"""`python -m lightning_app.start_trial fit ...`: a further rank of a trial, with the command line of the first one.

A module of its own beside `lightning_app.start`, so that the command of a run is written down without a module's name.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("sweeps.execution.trial", run_name="__main__")
