"""Facts about the arms of an experiment, for pages: requests, failures, rewards and shares."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_app.serving.config.control_channel import Interval
from lightning_app.serving.experiments.assignment import shares_of
from lightning_app.serving.experiments.process.experiment_state import ExperimentState
from lightning_app.serving.journal.stores.database import JournalDatabase


def request_counts(database: JournalDatabase, experiment: str) -> dict[str, tuple[int, int]]:
    """Requests and failures by arm, as far as the journal still has them.

    Args:
        database: Database of the journal.
        experiment: Id of the experiment.

    Raises:
        JournalError: The journal cannot be read.
    """
    rows = database.execute(
        f"SELECT arm, sum(requests), sum(failures) FROM {database.table('arm_counts')} "
        "WHERE experiment = ? GROUP BY arm",
        (experiment,),
    )
    return {arm: (int(requests), int(failures)) for arm, requests, failures in rows}


def arm_facts(
    state: ExperimentState, layout: Sequence[Interval], requests: Mapping[str, tuple[int, int]], *, has_layout: bool
) -> dict[str, dict[str, Any]]:
    """Facts by arm.

    Args:
        state: State of the experiment.
        layout: Who answers which points.
        requests: Requests and failures by arm.
        has_layout: Whether the layout says who answers; otherwise that depends on each request.

    Returns:
        By arm: `requests`, `failures`, `rewards`, `mean` (of the rewards, None without any), `missing`, `probability`
        (None if it depends on the request), `status` (`running` or `stopped`).
    """
    shares = shares_of(layout)
    facts = {}
    for arm, record in state.records.items():
        answered, failed = requests.get(arm, (0, 0))
        facts[arm] = {
            "requests": answered,
            "failures": failed,
            "rewards": record.rewards,
            "mean": record.total / record.rewards if record.rewards else None,
            "missing": record.missing,
            "probability": shares.get(arm, 0.0) if has_layout else None,
            "status": "stopped" if arm in state.settings.stopped else "running",
        }
    return facts
