"""Launcher: `python -m lightning_app.start MODULE ...` runs one of our modules as a program from any folder.

`python -m sweeps.trials.fork_server` would run a user's folder `sweeps` instead of ours, because `-m` searches the
working directory before our import hook (`module_search`) is installed.
"""

import runpy
import sys

if __name__ == "__main__":
    runpy.run_module(sys.argv.pop(1), run_name="__main__")
