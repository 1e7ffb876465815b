"""Wall and CPU seconds of N short fits, as one sweep or as N calls of `lightning-app fit`.

usage: sweep_wall.py sweep|calls N SPACE CONFIG [OPTION ...]     options of each fit
"""

import json
import os
import subprocess
import sys
import tempfile
import time


def main(kind: str, trials: int, space: str, config: str, options: list[str]) -> None:
    app = [sys.executable, "-m", "lightning_app"]
    with tempfile.TemporaryDirectory() as root:
        if kind == "sweep":
            fits = ["--", *options]
            calls = [[*app, "sweep", "-c", config, "--space", space, "--trials", str(trials), "--root", root, *fits]]
        else:
            calls = [
                [*app, "fit", "-c", config, "--run.root", root, "--seed_everything", str(seed), *options]
                for seed in range(trials)
            ]
        start = time.perf_counter()
        for call in calls:
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall = time.perf_counter() - start
    times = os.times()
    print(json.dumps({"wall_s": wall, "cpu_s": times.children_user + times.children_system}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
