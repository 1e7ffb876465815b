"""Writes per second to the journal of a study by several processes at once, with our lock and with Optuna's.

usage: sweep_journal.py WRITERS WRITES
"""

import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from optuna.storages.journal import JournalFileBackend

from sweeps.storage.journal_file import JournalFile

KINDS = {"ours": JournalFile, "optuna": JournalFileBackend}


def write(kind: str, path: str, count: int, start) -> list[float]:
    journal = KINDS[kind](path)
    start.wait()
    seconds = []
    for number in range(count):
        began = time.perf_counter()
        journal.append_logs(
            [{"op_code": 8, "worker_id": "w", "trial_id": 0, "step": number, "intermediate_value": 0.5}]
        )
        seconds.append(time.perf_counter() - began)
    return seconds


def measure(kind: str, writers: int, writes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Manager() as manager:
        path = str(Path(folder) / "journal.log")
        KINDS[kind](path)
        start = manager.Barrier(writers + 1)
        with multiprocessing.Pool(writers) as pool:
            jobs = [pool.apply_async(write, (kind, path, writes, start)) for _ in range(writers)]
            start.wait()
            began = time.perf_counter()
            seconds = [second for job in jobs for second in job.get()]
            wall = time.perf_counter() - began
    return {"per_s": writers * writes / wall, "slowest_s": max(seconds)}


if __name__ == "__main__":
    numbers = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({kind: measure(kind, *numbers) for kind in KINDS}))
