"""Imports, loads a package and answers one row; prints what it took as JSON.

usage: first_answer.py PACKAGE
"""
# ruff: noqa: E402

import time

started = time.perf_counter()

import json
import sys
from pathlib import Path

from lightning_app.packaging import Package

imported = time.perf_counter()
package = Package.load(sys.argv[1])
loaded = time.perf_counter()
request = json.loads((package.path / "golden.json").read_text())["request"]
package.predict({name: rows[:1] for name, rows in request.items()})
answered = time.perf_counter()
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(
    json.dumps(
        {
            "import_s": imported - started,
            "load_s": loaded - imported,
            "answer_s": answered - loaded,
            "seconds": answered - started,
            "resident_mib": int(status["VmHWM"].split()[0]) / 1024,
            "modules": len(sys.modules),
        }
    )
)
