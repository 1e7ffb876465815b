"""Analysis of an experiment in the journal: experiment_analysis.py make URL REQUESTS | analyse URL KEY [POLICY]."""

import contextlib
import io
import json
import sys
import time

from lightning_app.__main__ import main
from tests.lightning_app.serving.experiments.analysis.journals import simulate


def analyse(url: str, words: list[str]) -> dict[str, float]:
    printed = io.StringIO()
    begin = time.perf_counter()
    with contextlib.redirect_stdout(printed):
        assert main(["experiment", "analyse", "price-1", "--journal", url, "--json", *words]) == 0
    (effect,) = json.loads(printed.getvalue())["effects"]
    return {"wall_s": time.perf_counter() - begin, "estimate": effect["estimate"]}


if __name__ == "__main__":
    what, url, *rest = sys.argv[1:]
    if what == "make":
        requests = int(rest[0])
        simulate(url, num_requests=requests, num_entities=requests // 5, lifts={"large": 0.1}, seconds=7 * 86_400.0)
        print(json.dumps({}))
    else:
        print(json.dumps(analyse(url, rest)))
