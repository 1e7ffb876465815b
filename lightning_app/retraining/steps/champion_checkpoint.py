"""Champion's checkpoint: found by its digest among the runs of this machine, for a warm start."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lightning_app.packaging.format.manifest import Manifest
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.steps.context import Context


def champion_checkpoint(context: Context, cycle: Cycle) -> tuple[str | None, str]:
    """Checkpoint that a fit starts from.

    Args:
        context: Of the tick.
        cycle: The cycle.

    Returns:
        checkpoint: The file; None starts from random weights.
        start: What it starts from, and why, in words.
    """
    champion = cycle.spec["champion"]
    if context.policy.training.start == "scratch":
        return None, "scratch"
    if champion is None:
        return None, "scratch: there is no champion yet"
    name = f"{cycle.model}@{champion}"
    parents = Manifest.read(context.registry.resolve(name).path).lineage.get("parents") or []
    known = {parent.get("kind"): parent for parent in parents}
    digest = known.get("checkpoint", {}).get("sha256")
    if digest is None:
        return None, f"scratch: the package of {name} names no checkpoint"
    for path in _candidates(context, cycle, champion, known):
        if path.is_file() and _sha256(path) == digest:
            return str(path.resolve()), f"the weights of {name} ({path})"
    return None, f"scratch: the checkpoint of {name} ({digest[:12]}) is not on this machine"


def _candidates(context: Context, cycle: Cycle, champion: int, known: dict[str, dict[str, str]]) -> Iterator[Path]:
    """Places where it may lie: the run of the cycle that made the champion, and the runs of the working folder."""
    file = known["checkpoint"].get("file", "best.ckpt")
    for other in context.store.cycles(cycle.model):
        if other.facts.get("version") == champion and (run := (other.facts.get("result") or {}).get("run")):
            yield Path(run) / "checkpoints" / file
    if run := known.get("run"):
        yield Path("runs") / run["name"] / run["id"] / "checkpoints" / file


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
