"""Launcher of further ranks of a sweep trial: `python -m lightning_app.start_trial fit ...`.

Separate from `lightning_app.start` so that the command line recorded for a run contains no module name.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("sweeps.trials.trial", run_name="__main__")
