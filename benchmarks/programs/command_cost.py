"""Wall and CPU seconds of a Python command from its start to its end, with all processes that it started.

usage: command_cost.py WORD ...     after `python`; {folder} in a word is a folder that is empty and soon deleted
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time

_SUBREAPER = 36  # prctl: processes that outlive their parents become children of this one, and so are counted


def main(words: list[str]) -> None:
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *(word.replace("{folder}", folder) for word in words)]
        start = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        wall = time.perf_counter() - start
        if done.returncode:
            sys.exit(done.stderr)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
    times = os.times()
    print(json.dumps({"wall_s": wall, "cpu_s": times.children_user + times.children_system}))


if __name__ == "__main__":
    main(sys.argv[1:])
