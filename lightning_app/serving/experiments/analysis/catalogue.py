"""Catalogue: the experiments that a journal knows, recorded by a server or seen in its predictions alone."""

from typing import Any

from msgspec import Struct

from lightning_app.errors import nearest
from lightning_app.serving.experiments.store import Experiment, ExperimentStore
from lightning_app.serving.journal.stores.database import JournalDatabase

CHALLENGER, CHAMPION = "challenger", "champion"
UNRECORDED = "unrecorded"


class ArmTraffic(Struct, frozen=True, kw_only=True):
    """Answered requests of an arm.

    Attributes:
        requests: Number of them.
        first: Time of the first one, Unix seconds; None without any.
        last: Time of the last one; None without any.
        with_entity: Requests with an entity.
    """

    requests: int = 0
    first: float | None = None
    last: float | None = None
    with_entity: int = 0


class KnownExperiment(Struct, frozen=True, kw_only=True):
    """An experiment.

    Attributes:
        id: Its id.
        model: Name of the model.
        kind: `split`, `thompson`, `linear` or `canary`; None if it was not recorded.
        status: `running`, or how it ended; `unrecorded` if there are predictions alone.
        since: When it began, Unix seconds.
        arms: Answered requests by arm, control first.
        record: What a server recorded of it.
    """

    id: str
    model: str
    kind: str | None
    status: str
    since: float
    arms: dict[str, ArmTraffic]
    record: Experiment | None

    @property
    def requests(self) -> int:
        """Answered requests of all arms."""
        return sum(arm.requests for arm in self.arms.values())


def catalogue(database: JournalDatabase) -> list[KnownExperiment]:
    """All experiments, oldest first.

    Args:
        database: Database of the journal.
    """
    seen: dict[str, tuple[str, dict[str, ArmTraffic]]] = {}
    statement = (
        "SELECT experiment, model, arm, count(*), min(time), max(time), count(entity) "
        f"FROM {database.answered} AS p WHERE experiment IS NOT NULL GROUP BY experiment, model, arm ORDER BY arm"
    )
    for part in database.stream(statement):
        for experiment, model, arm, requests, first, last, with_entity in part:
            _, arms = seen.setdefault(experiment, (model, {}))
            arms[arm] = ArmTraffic(requests=requests, first=first, last=last, with_entity=with_entity)
    known = []
    for record in ExperimentStore(database).list():
        _, arms = seen.pop(record.id, (record.model, {}))
        known.append(
            KnownExperiment(
                id=record.id, model=record.model, kind=record.kind, status=record.status, since=record.created,
                arms=_in_order(arms, recorded_arms(record)), record=record,
            )
        )  # fmt: skip
    for experiment, (model, arms) in seen.items():
        first = min(arm.first for arm in arms.values() if arm.first is not None)
        known.append(
            KnownExperiment(
                id=experiment, model=model, kind=None, status=UNRECORDED, since=first,
                arms=_in_order(arms, [CHAMPION] if CHAMPION in arms else []), record=None,
            )
        )  # fmt: skip
    return sorted(known, key=lambda one: (one.since, one.id))


def find(known: list[KnownExperiment], experiment: str) -> KnownExperiment:
    """The experiment with an id.

    Args:
        known: All experiments.
        experiment: The id.

    Raises:
        ValueError: There is none.
    """
    for one in known:
        if one.id == experiment:
            return one
    ids = [one.id for one in known]
    if not ids:
        raise ValueError(f"experiment: {experiment!r} given, this journal has no experiments")
    newest = ", ".join(reversed(ids[-5:]))
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    raise ValueError(f"experiment: {experiment!r} is unknown{nearest(experiment, ids)}; the newest: {newest}{more}")


def recorded_arms(record: Experiment) -> list[str]:
    """Names of the arms that an experiment was started with, control first.

    Args:
        record: What was recorded of it.
    """
    if record.kind == "canary":
        return [CHAMPION, CHALLENGER]
    arms: dict[str, Any] = record.spec.get("arms", {})
    return list(arms)


def _in_order(arms: dict[str, ArmTraffic], first: list[str]) -> dict[str, ArmTraffic]:
    names = [*first, *(arm for arm in arms if arm not in first)]
    return {name: arms.get(name, ArmTraffic()) for name in names}
