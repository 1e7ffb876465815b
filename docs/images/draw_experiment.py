"""Draws `experiment_effect.png`: a real report's effect over time. Run it from the project's folder after a change."""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from lightning_app.__main__ import main as lightning_app
from tests.lightning_app.serving.experiments.analysis.journals import simulate


def main() -> None:
    """Writes the picture beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        url, report = f"sqlite:///{folder}/journal.db", f"{folder}/report"
        shares = {"champion": 0.5, "large": 0.25, "small": 0.25}
        lifts = {"large": 0.1, "small": 0.0}
        simulate(url, num_requests=40_000, shares=shares, lifts=lifts, seconds=14 * 86_400.0, seed=3)
        assert lightning_app(["experiment", "analyse", "price-1", "--journal", url, "--output", report]) == 0
        shutil.copy(f"{report}/effects.png", Path(__file__).with_name("experiment_effect.png"))


if __name__ == "__main__":
    main()
