"""A wide phase transformer trained on ETTh1, its int8, fp16 and pruned packages, and a small student of it.

usage: trained_variants.py CONFIGS TEACHER_EPOCHS RECOVERY_EPOCHS STUDENT_EPOCHS
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from lightning_app.__main__ import main
from lightning_app.packaging import Manifest

WIDE = ("--model.network.init_args.hidden_size", "128", "--model.network.init_args.num_heads", "4")
RATE = ("--model.optimizer.lr", "0.001")


def fit(root: Path, name: str, config: Path, epochs: str, *options: str) -> Path:
    """Trains, and returns the run folder."""
    words = ["--run.root", str(root), "--run.name", name, "--trainer.max_epochs", epochs]
    assert main(["fit", "-c", str(config), *words, "--trainer.enable_progress_bar", "false", *options]) == 0
    (folder,) = (root / name).iterdir()
    return folder


def variant(run: Path, parent: Path, kind: str, recovery_epochs: str) -> dict[str, Any]:
    """What the manifest says of a variant, or why there is none."""
    output = parent.with_name(kind)
    words = ["--optimize", kind, "--optimize-from", str(parent), "--recovery-epochs", recovery_epochs]
    complaints = io.StringIO()
    with contextlib.redirect_stderr(complaints):
        code = main(["export", str(run), "--output", str(output), *words])
    if code:
        return {"refused": complaints.getvalue().strip()}
    return dict(Manifest.read(output).optimization or {})


def test_mse(run: Path) -> float:
    """Of the best checkpoint."""
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    return float(json.loads((run / "metrics.json").read_text())["test/mse"])


def run(configs: Path, teacher_epochs: str, recovery_epochs: str, student_epochs: str) -> dict[str, Any]:
    """Everything, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        wide = fit(root, "wide", configs / "etth1_phase.yaml", teacher_epochs, *WIDE, *RATE)
        parent = root / "package"
        assert main(["export", str(wide), "--output", str(parent)]) == 0
        found: dict[str, Any] = {"teacher_mse": Manifest.read(parent).metrics["values"]["test/mse"]}
        alone = fit(root, "alone", configs / "etth1_phase.yaml", student_epochs)
        taught = fit(root, "taught", configs / "etth1_distilled.yaml", student_epochs, "--model.teacher", str(wide))
        found |= {"alone_mse": test_mse(alone), "taught_mse": test_mse(taught)}
        for kind in ("int8", "fp16", "pruned"):
            found[kind] = variant(wide, parent, kind, recovery_epochs)
        return found


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), *sys.argv[2:])))
