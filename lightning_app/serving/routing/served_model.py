"""Served model: a name in addresses, and the arms that answer under it; the place where the arm is chosen."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, Any

from lightning_app.serving.config.arm_references import fallback_arm, own_arm
from lightning_app.serving.config.control_channel import LinearState, ModelRouting
from lightning_app.serving.config.serve_config import ModelConfig
from lightning_app.serving.experiments.assignment import layout_of, point
from lightning_app.serving.inference.batcher import AnswerAll, Batcher, Observe
from lightning_app.serving.inference.cache import AnswerCache
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.hangs import HangLimit
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.inference.prediction_record import entity_key
from lightning_app.serving.routing.breaker import Breaker
from lightning_app.serving.routing.reserve import Reserve

if TYPE_CHECKING:
    from lightning_app.serving.experiments.policies.linear_choice import LinearChoice
    from lightning_app.serving.routing.constant import ConstantAnswer

Columns = Callable[[Sequence[str]], Mapping[str, Sequence[Any]]]
"""Reads columns of a request by name; those that are missing are left out."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Who answers a request.

    Attributes:
        name: Name of the arm.
        probability: Probability with which it was chosen.
        model: The loaded version.
        batcher: Its queue.
        experiment: Id of the experiment that chose it; None outside of one.
        breaker: Says whether it may be asked; None asks it always. Arms of the same version have the same.
    """

    name: str
    probability: float
    model: LoadedModel
    batcher: Batcher
    experiment: str | None = None
    breaker: Breaker | None = None


class ServedModel:
    """A model under one name; its arms and their shares can change at any time.

    Requests keep the arm that was chosen for them: a version that was replaced finishes what it has, and two versions
    never share a batch. Arms of the same version do.

    Args:
        config: Configuration of the model.
        name: Name in addresses.

    Attributes:
        config: Configuration of the model.
        name: Name in addresses.
        own: Name of the arm of the model itself, which answers whatever belongs to no other.
        arms: Loaded arms by name.
        cache: Answers that are kept; None without a cache.
        problem: Why the newest version could not be loaded; None if it could.
        routing: Who answers which share; None if one arm answers everything.
        constant: The last fallback; None if the chain has none.
        reserve: How much of the deadline is kept for fallbacks.
    """

    def __init__(self, config: ModelConfig, *, name: str) -> None:
        self.config = config
        self.name = name
        self.own = own_arm(config)
        self.arms: Mapping[str, Arm] = {}
        self.problem: str | None = None
        self.cache = AnswerCache(most=config.cache) if config.cache else None
        self.constant: ConstantAnswer | None = None
        self.reserve = Reserve(None if config.fallback_ms is None else config.fallback_ms / 1000)
        self.routing: ModelRouting | None = None
        if config.experiment is not None:
            shares = {arm.name: arm.share for arm in config.experiment.arms}
            self.routing = ModelRouting(name=name, experiment=config.experiment.name, layout=layout_of(shares))
        self._fallbacks: list[Arm] = []
        self._points: tuple[list[float], list[Arm]] = ([], [])
        self._linear: LinearChoice | None = None
        self._replaced: list[tuple[str, str, int]] = []
        self._lock = Lock()  # versions are loaded beside the event loop

    @property
    def arm(self) -> Arm:
        """The arm of the model itself, by itself."""
        assert self.own in self.arms, "a model is loaded before it is served"
        return self.arms[self.own]

    @property
    def is_loaded(self) -> bool:
        """Whether there is a version to answer."""
        return self.own in self.arms

    def serve(
        self,
        arm: str,
        model: LoadedModel,
        plan: BatchPlan,
        *,
        observe: Observe | None = None,
        breaker: Breaker | None = None,
        limit: HangLimit | None = None,
        answer: AnswerAll | None = None,
        is_suspect: bool = False,
    ) -> None:
        """Serves another version as an arm from the next request on.

        Args:
            arm: Name of the arm.
            model: The version.
            plan: How its requests are batched.
            observe: Told about each call.
            breaker: Says whether it may be asked; None asks it always.
            limit: When a call hangs; None waits for every call.
            answer: Calls the model; None takes its own `answer`.
            is_suspect: Whether a call has hung in another worker.
        """
        batcher = Batcher(model, plan=plan, queue=self.config.queue, observe=observe, limit=limit, answer=answer)
        if is_suspect:
            batcher.distrust()
        with self._lock:
            self._replace({**self.arms, arm: Arm(arm, 1.0, model, batcher, breaker=breaker)})
        self.problem = None

    def share(self, arm: str, loaded: Arm) -> None:
        """Serves the version of one arm as another arm too.

        Args:
            arm: Name of the other arm.
            loaded: The one arm.
        """
        with self._lock:
            self._replace({**self.arms, arm: replace(loaded, name=arm, probability=1.0, experiment=None)})
        self.problem = None

    def fallbacks(self, arm: Arm) -> list[Arm]:
        """Loaded models of the fallback chain in their order, without those of the version that they stand in for.

        Args:
            arm: The arm that was chosen.
        """
        return [one for one in self._fallbacks if one.model.digest != arm.model.digest]

    def keep(self, arms: set[str]) -> list[Arm]:
        """Serves these arms alone.

        Args:
            arms: Names of the arms.

        Returns:
            Those that are served no longer.
        """
        with self._lock:
            gone = [arm for name, arm in self.arms.items() if name not in arms]
            if gone:
                self._replace({name: arm for name, arm in self.arms.items() if name in arms})
        return gone

    def route(self, routing: ModelRouting | None) -> None:
        """Changes who answers which share.

        Args:
            routing: The shares; None lets the model itself answer everything.
        """
        with self._lock:
            if self._linear is not None:
                self._replaced += self._linear.rows.take_counts()
            self._linear = None if routing is None or routing.linear is None else _linear_choice(routing.linear)
            self.routing = routing
            self._replace(self.arms)

    def take_replaced(self) -> list[tuple[str, str, int]]:
        """Values that a linear bandit took as others since the last call: column, `missing` or `clipped`, number."""
        with self._lock:
            replaced, self._replaced = self._replaced, []
            if self._linear is not None:
                replaced += self._linear.rows.take_counts()
        return replaced

    def choose(self, request_id: str, session: str | None, columns: Columns) -> Arm:
        """Chooses the arm that answers a request.

        A request that lacks what arms are chosen for is answered by the model itself, outside the experiment: one
        without a session, with rows of several entities, or, where a policy goes by columns, with several rows.

        Args:
            request_id: Id of the request.
            session: Session of the request.
            columns: Reads columns of the request.
        """
        routing = self.routing
        if routing is None:
            return self.arm
        key = self._key(request_id, session, columns)
        if key is None:
            return self.arm
        at = point(routing.experiment, key)
        if routing.linear is not None:
            return self._by_columns(routing, columns(routing.linear.columns), at)
        ends, arms = self._points
        return arms[bisect_right(ends, at)]

    def _key(self, request_id: str, session: str | None, columns: Columns) -> str | None:
        """What the arm is chosen for."""
        by = self.config.key
        if by == "request":
            return request_id
        if by == "session":
            return session
        assert self.config.entity is not None
        return entity_key(columns((self.config.entity,)).get(self.config.entity, ()))

    def _by_columns(self, routing: ModelRouting, columns: Mapping[str, Sequence[Any]], at: float) -> Arm:
        linear = self._linear
        assert linear is not None
        if any(len(values) != 1 for values in columns.values()):
            return self.arm
        row = {name: values[0] for name, values in columns.items()}
        shares: dict[str, float] = {}
        for name, probability in zip(linear.arms, linear.probabilities(row).tolist(), strict=True):
            loaded = name if name in self.arms else self.own
            shares[loaded] = shares.get(loaded, 0.0) + probability
        names = list(shares)
        ends = list(accumulate(shares.values()))
        name = names[min(bisect_right(ends, at), len(names) - 1)]
        arm = self.arms[name]
        return replace(arm, probability=shares[name], experiment=routing.experiment)

    def _replace(self, arms: Mapping[str, Arm]) -> None:
        """Takes over other arms, and who answers which points then.

        What belongs to an arm that is not loaded is answered by the model itself, and so is the more likely.
        """
        self.arms = arms
        chain = (fallback_arm(number) for number in range(1, len(self.config.fallback) + 1))
        self._fallbacks = [arms[name] for name in chain if name in arms]
        routing = self.routing
        if routing is None or not self.is_loaded:
            self._points = ([], [])
            return
        names = [interval.arm if interval.arm in arms else self.own for interval in routing.layout]
        shares: dict[str, float] = {}
        for name, interval in zip(names, routing.layout, strict=True):
            shares[name] = shares.get(name, 0.0) + (interval.end - interval.start)
        chosen = {
            name: replace(arms[name], probability=min(share, 1.0), experiment=routing.experiment)
            for name, share in shares.items()
        }
        self._points = ([interval.end for interval in routing.layout[:-1]], [chosen[name] for name in names])


def _linear_choice(state: LinearState) -> "LinearChoice":
    from lightning_app.serving.experiments.policies.linear_choice import LinearChoice

    return LinearChoice(state)
