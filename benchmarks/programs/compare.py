"""Fits and tests configs as `lightning-app compare` does, and prints the rows.

usage: compare.py CONFIG ... [--seeds ...] [-- OPTION ...]
"""

import json
import sys
import tempfile
from pathlib import Path

from lightning_app.commands.compare import run

if __name__ == "__main__":
    root = tempfile.mkdtemp() if "--root" not in sys.argv else sys.argv[sys.argv.index("--root") + 1]
    words = sys.argv[1:] if "--root" in sys.argv else ["--root", root, *sys.argv[1:]]
    run(["compare", *words])
    newest = max(Path(root, "compare").glob("*/table.json"), key=lambda path: path.parent.name)
    print(json.dumps({"rows": json.loads(newest.read_text())}))
