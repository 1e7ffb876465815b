"""A program that ends ticks of retraining by SIGKILL, right before and right after each thing that they do.

A tick is a fork of a process that has imported everything. It dies at the first moment at which none has died yet:
before or after a change of the cycle, the freezing, the start of the training, a registration, an evaluation, or a
change of aliases. The next tick gets one moment further, until the cycle has ended. The training is the package of a
run of before (its own kills are tested elsewhere), and the canary of a server is its registry door.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from tests.lightning_app.retraining.points import NOW, Points
from tests.registry_kills import fork

DAY = 86400.0
Scenario = Literal["direct", "canary", "rolled_back", "expired", "worse", "rejected"]
SECTIONS: dict[Scenario, dict[str, Any]] = {
    "direct": {},
    "canary": {"rollout": {"shadow": {"requests": 10}, "canary": {}}},
    "rolled_back": {"rollout": {"canary": {}}},
    "expired": {"rollout": {"canary": {"most": "2d"}}},
    "worse": {},
    "rejected": {"rollout": {"approval": True}},
}
ENDS = {
    "direct": "promoted", "canary": "promoted", "rolled_back": "rolled_back", "expired": "expired", "worse": "rejected",
    "rejected": "rejected",
}  # fmt: skip


class Killer:
    """Ends this process at the first moment that is not in a file of moments.

    Args:
        seen: The file.
        every: 1 dies at each moment, more at one out of so many.
    """

    def __init__(self, seen: Path, every: int) -> None:
        self._seen, self._names = seen, set(seen.read_text().splitlines()) if seen.exists() else set()
        self._every = every
        self._counts: dict[str, int] = {}

    def at(self, name: str) -> None:
        """A moment."""
        self._counts[name] = self._counts.get(name, 0) + 1
        moment = f"{name} {self._counts[name]}"
        if moment not in self._names:
            with self._seen.open("a") as file:
                file.write(f"{moment}\n")
                file.flush()
                os.fsync(file.fileno())
            if len(self._names) % self._every == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._names.add(moment)

    def around(self, holder: Any, name: str, title: Callable[..., str]) -> None:
        """Makes the moments before and after a function."""
        function = getattr(holder, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            what = title(*args, **kwargs)
            self.at(f"before {what}")
            result = function(*args, **kwargs)
            self.at(f"after {what}")
            return result

        setattr(holder, name, watched)

    def everywhere(self) -> None:
        """Makes the moments of a tick."""
        from lightning_app.registry import Registry
        from lightning_app.retraining.cycles import CycleStore
        from lightning_app.retraining.executors.local import LocalExecutor
        from lightning_app.retraining.steps import freeze

        self.around(CycleStore, "create", lambda *_, **__: "create")
        self.around(
            CycleStore,
            "change",
            lambda _, cycle, **changes: (
                f"change {cycle.state} to {changes.get('state') or ', '.join(sorted(changes.get('facts') or {}))}"
            ),
        )
        self.around(LocalExecutor, "start", lambda *_, **__: "start of training")
        self.around(LocalExecutor, "poll", lambda *_, **__: "look at training")
        self.around(freeze, "freeze", lambda *_, **__: "freezing")
        self.around(Registry, "register", lambda *_, **__: "registration")
        self.around(Registry, "add_evaluation", lambda _, model, *__: f"evaluation of {model}")
        self.around(Registry, "check", lambda *_, **__: "gates")
        self.around(Registry, "promote", lambda *_, to, **__: f"promotion to {to}")
        self.around(Registry, "withdraw", lambda *_, alias, **__: f"withdrawal of {alias}")


def tick_of(points: Points, policy: Any, now: float, seen: Path, every: int) -> Callable[[], Any]:
    """A tick, killed at a new moment unless `every` is 0."""

    def run() -> Any:
        from lightning_app.retraining.cycles import AnotherTickError
        from lightning_app.retraining.executors.local import LocalExecutor
        from lightning_app.retraining.tick import tick

        LocalExecutor.start = started_from(points)  # type: ignore[method-assign]
        if every:
            Killer(seen, every).everywhere()
        try:
            return tick(policy, now=now).waits
        except AnotherTickError:
            return "another"

    return run


def started_from(points: Points) -> Callable[..., Any]:
    """A start of a training that is done at once: its package is that of a run of before."""

    def start(self: Any, job: Any) -> dict[str, Any]:
        import socket

        from lightning_app.atomic_write import write_whole
        from lightning_app.packaging import Package
        from lightning_app.retraining.executors.executor import RESULT

        package = job.folder.parent.parent / "package"
        if not (job.folder / RESULT).exists():
            shutil.rmtree(package, ignore_errors=True)
            shutil.copytree(points.folder / "candidate", package)
            digest = Package.load(package).digest
            result = {"package": str(package), "digest": digest, "device_minutes": 0.1, "start": "scratch"}
            write_whole(job.folder / RESULT, json.dumps(result))
        return {"host": socket.gethostname(), "started": 0.0}

    return start


def prepare(folder: Path, scenario: Scenario, journal: str) -> Points:
    """A model with a champion and a candidate, and an order for a cycle; `mlflow.db` is there."""
    from tests.packages import small_package

    points = Points(folder, journal=journal)
    noise = 2.0 if scenario == "worse" else 0.1
    small_package(folder / "candidate", name="points", noise=noise, seed=9)
    with points.store() as store:
        store.note("points", "order", {"who": "a test", "reason": scenario}, now=NOW)
    return points


def meanwhile(points: Points, scenario: Scenario, state: str) -> Callable[[], Any] | None:
    """What servers and persons do while a cycle is in a state, once."""

    def door() -> None:
        from lightning_app.serving.experiments.canary.registry_door import Order, carry_out

        action: Any = "roll_back" if scenario == "rolled_back" else "promote"
        order = Order(
            canary="canary:points@2:1", registry=f"sqlite:///{points.folder}/mlflow.db", name="points", version=2,
            champion=1, alias="challenger", gates=None, action=action, reason="1,000 requests", forced=True,
        )  # fmt: skip
        done = carry_out(order)
        assert done.outcome == "done", done

    def answers() -> None:
        from lightning_app.serving.journal.stores import open_store
        from lightning_app.serving.journal.stores.side_tables import add_shadows
        from tests.lightning_app.serving.journal.records import prediction, shadow

        rows = [prediction(f"r{number}", model="points", version=1, time=NOW) for number in range(12)]
        store = open_store(points.journal)
        store.write(rows)
        store.close()
        digest = points.cycle().facts["digest"]
        beside = [
            shadow(row.request_id, row.answer, model="points", version=2, digest=digest, time=NOW + DAY) for row in rows
        ]
        with points.store() as cycles:
            add_shadows(cycles.database, beside)

    def reject() -> None:
        with points.store() as store:
            facts = {"who": "a test", "reason": "no"}
            store.note("points", "reject", facts, now=NOW, cycle_id=points.cycle().cycle_id)

    if state == "canary" and scenario in ("canary", "rolled_back"):
        return door
    if state == "shadow":
        return answers
    return reject if state == "gated" and scenario == "rejected" else None


def run(folder: Path, scenario: Scenario, journal: str, *, every: int = 1, at_once: int = 1) -> dict[str, Any]:
    """One cycle to its end.

    Args:
        folder: A folder with `mlflow.db`.
        scenario: What kind of cycle.
        journal: Address of a journal that does not exist yet.
        every: 1 kills a tick at each moment, more at one out of so many, 0 at none.
        at_once: Ticks that run at the same time.

    Returns:
        What there is at the end, see `look`.
    """
    place = folder / "prepared.json"
    assert fork(lambda: prepare(folder, scenario, journal) and None, place) == 0
    points = Points.of(folder, journal)
    policy = points.policy(**SECTIONS[scenario])
    seen, done, codes, now = folder / "moments", set[str](), [], NOW
    for _ in range(400):
        ticks = [tick_of(points, policy, now, seen, every)] * at_once
        codes += together(ticks)
        assert fork(lambda: [cycle_facts(points)], place) == 0
        ((state, ended),) = json.loads(place.read_text())
        if ended:
            break
        act = meanwhile(points, scenario, state)
        if act is not None and state not in done and codes[-1] == 0:
            done.add(state)
            assert fork(act) == 0
        if codes[-1] == 0:
            now += DAY
    assert set(codes) <= {0, -signal.SIGKILL}, codes
    assert fork(lambda: look(points, policy, now), place) == 0
    return {"kills": codes.count(-signal.SIGKILL), "ticks": len(codes)} | json.loads(place.read_text())


def together(works: Sequence[Callable[[], Any]]) -> list[int]:
    """Exit codes of forks that run at the same time."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                os._exit(1)
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def cycle_facts(points: Points) -> tuple[str, bool]:
    """State of the newest cycle, and whether it has ended."""
    with points.store() as store:
        cycles = store.cycles("points")
    return ("none", False) if not cycles else (cycles[-1].state, cycles[-1].ended is not None)


def look(points: Points, policy: Any, now: float) -> dict[str, Any]:
    """What there is at the end, and after one more tick."""
    from lightning_app.retraining.cycles import ENDS as END_STATES
    from lightning_app.retraining.tick import tick

    tick(policy, now=now)
    with points.store() as store:
        cycles, events = store.cycles("points"), store.events("points")
    history = [
        (entry.action, entry.alias, entry.after if entry.action == "promote" else entry.before)
        for entry in points.registry.history("points").entries.values()
    ]
    versions = {version.record.number for version in points.registry.versions("points")}
    known = {cycle.facts["version"] for cycle in cycles if "version" in cycle.facts}
    return {
        "cycles": [cycle.state for cycle in cycles],
        "live": sum(cycle.ended is None for cycle in cycles),
        "ends": sum(event.kind in END_STATES for event in events if event.cycle_id is not None),
        "repeated": sorted({str(change) for change in history if history.count(change) > 1}),
        "orphans": sorted(versions - known - {1}),
        "aliases": points.aliases(),
    }


def import_all() -> None:
    """What every fork would otherwise import again."""
    import mlflow.pyfunc
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import onnxruntime  # noqa: F401
    import scipy.special  # noqa: F401

    import lightning_app.retraining.tick  # noqa: F401


if __name__ == "__main__":
    start, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
    import_all()
    for order in orders:
        home = start / str(orders.index(order))
        home.mkdir()
        shutil.copy(start / "mlflow.db", home / "mlflow.db")
        os.environ["LIGHTNING_APP_CACHE"] = str(home / "cache")
        url = order.pop("journal", f"sqlite:///{home}/journal.db")
        print(json.dumps({**order, **run(home, journal=url, **order)}), flush=True)
