"""`python -m lightning_app.start MODULE ...`: runs a module of ours as a program, from any folder.

`python -m sweeps.execution.fork_server` would take a folder `sweeps` of the user for ours: `-m` looks in the working
folder before any module of ours can say where to look.
"""

import runpy
import sys

if __name__ == "__main__":
    runpy.run_module(sys.argv.pop(1), run_name="__main__")
