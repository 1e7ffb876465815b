"""Served model: a name in addresses, and the loaded version that answers; the place where the arm is chosen."""

from concurrent.futures import Executor
from dataclasses import dataclass

from lightning_app.serving.config.serve_config import ModelConfig
from lightning_app.serving.inference.batcher import Batcher, Observe
from lightning_app.serving.inference.cache import AnswerCache
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.loaded_model import LoadedModel

CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Arm:
    """Who answers a request.

    Attributes:
        name: Name of the arm.
        probability: Probability with which it was chosen.
        model: The loaded version.
        batcher: Its queue.
    """

    name: str
    probability: float
    model: LoadedModel
    batcher: Batcher


class ServedModel:
    """A model under one name; its version can be replaced at any time.

    Requests keep the arm that was chosen for them: a version that was replaced finishes what it has, and two versions
    never share a batch.

    Args:
        config: Configuration of the model.
        name: Name in addresses.
        executor: Thread for long calls.

    Attributes:
        config: Configuration of the model.
        name: Name in addresses.
        cache: Answers that are kept; None without a cache.
        problem: Why the newest version could not be loaded; None if it could.
    """

    def __init__(self, config: ModelConfig, *, name: str, executor: Executor) -> None:
        self.config = config
        self.name = name
        self.problem: str | None = None
        self.cache = AnswerCache(most=config.cache) if config.cache else None
        self._executor = executor
        self._arm: Arm | None = None

    @property
    def arm(self) -> Arm:
        """The arm of the version that is served."""
        assert self._arm is not None, "a model is swapped in before it is served"
        return self._arm

    @property
    def is_loaded(self) -> bool:
        """Whether there is a version to answer."""
        return self._arm is not None

    def swap(self, model: LoadedModel, plan: BatchPlan, *, observe: Observe | None = None) -> None:
        """Serves another version from the next request on.

        Args:
            model: The version.
            plan: How its requests are batched.
            observe: Told about each call.
        """
        batcher = Batcher(model, plan=plan, queue=self.config.queue, observe=observe)
        self._arm = Arm(CHAMPION, 1.0, model, batcher)
        self.problem = None

    def choose(self, request_id: str) -> Arm:  # noqa: ARG002  # a split is by request, or by entity
        """Chooses the arm that answers a request.

        Args:
            request_id: Id of the request.
        """
        return self.arm
