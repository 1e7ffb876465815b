"""What became of a trial, as it is shown: its values, why it ended, how long it ran, what it needed."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

_BOUND = "bound: "
_SHOWN_CAUSES = 5
_CAUSES = {"pruner": "by the pruner"}


def values_of(trial: FrozenTrial) -> list[float]:
    """Values of a complete trial; none of others: what Optuna holds as those of a pruned one is its last report.

    Args:
        trial: Of any state.
    """
    return list(trial.values or ()) if trial.state == TrialState.COMPLETE else []


def seconds_of(trial: FrozenTrial) -> float | None:
    """How long a trial ran, all its starts together, without what it waited in between; None before it has ended.

    Args:
        trial: Of any state.
    """
    ran = trial.user_attrs.get("seconds")
    if isinstance(ran, int | float):
        return float(ran)
    return trial.duration.total_seconds() if trial.duration else None


def why(trial: FrozenTrial) -> str:
    """Why a trial was pruned or has failed, in words; empty where that was not noted.

    Args:
        trial: Of any state.
    """
    cause = str(trial.user_attrs.get("why", ""))
    if cause.startswith(_BOUND):
        return f"broke the bound on {cause.removeprefix(_BOUND)}"
    return _CAUSES.get(cause, cause)


def causes(trials: Iterable[FrozenTrial], state: TrialState) -> str:
    """How many trials ended so for which cause, the commonest first; empty if no cause was noted.

    Args:
        trials: Of the study.
        state: `PRUNED` or `FAIL`.
    """
    found = Counter(why(trial) for trial in trials if trial.state == state)
    if not any(found):
        return ""
    words = [
        f"{count} {cause or 'for a cause that was not noted'}" for cause, count in found.most_common(_SHOWN_CAUSES)
    ]
    if others := found.total() - sum(count for _, count in found.most_common(_SHOWN_CAUSES)):
        words.append(f"{others} for others")
    return f"{found.total()} {state.name.lower()}: {', '.join(words)}"


def last_error(log: Path) -> str:
    """The reason that a trial's log ends with, without its `error:`; empty if there is none.

    Args:
        log: The file; it may be another host's, and not be here.
    """
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line.strip().removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1][:300] if errors else ""


def measured(trial: FrozenTrial) -> dict[str, float]:
    """Parameters, latency and memory of a trial, as `Measurements` found them; what was not measured is left out.

    Args:
        trial: Of any state.
    """
    found = trial.user_attrs.get("measured")
    return dict(found) if isinstance(found, dict) else {}
