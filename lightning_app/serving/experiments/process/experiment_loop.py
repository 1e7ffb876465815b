"""ExperimentLoop: asks every driver about once a second, and says what has changed."""

import logging
import os
import socket
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from lightning_app.errors import describe
from lightning_app.serving.config.control_channel import ModelRouting, ResolvedModel, Routing
from lightning_app.serving.config.experiment_config import Linear, Policy, Split
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.experiments.canary.driver import CanaryDriver
from lightning_app.serving.experiments.process.configured_since import configured_since
from lightning_app.serving.experiments.process.driver import Driver, Server
from lightning_app.serving.experiments.process.experiment_driver import ExperimentDriver
from lightning_app.serving.experiments.process.split_driver import SplitDriver
from lightning_app.serving.experiments.process.thompson_driver import ThompsonDriver
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores import open_database

_log = logging.getLogger("lightning_app.serving.experiments")
_FACTS_SECONDS = 5.0
"""Facts for pages change with every request; they are passed on no more often."""


class ExperimentLoop:
    """Decides, or follows, for all experiments and canaries of a server.

    A journal that is down is said once, and when it is back; shares stay as they are meanwhile.

    Args:
        folder: Runtime folder of the server.
        say: Called with each decision that differs from the one before.
    """

    def __init__(self, folder: Path, *, say: Callable[[Routing], None]) -> None:
        self._folder, self._say = folder, say
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._content = b""
        self._server: Server | None = None
        self._drivers: dict[str, Driver] = {}
        self._problems: dict[str, str] = {}
        self._routing: dict[str, ModelRouting] = {}
        self._answered: set[str] = set()
        self._said: tuple[float, list[ModelRouting] | None] = (0.0, None)

    def tick(self, now: float) -> None:
        """Asks every driver once.

        Args:
            now: Unix seconds.
        """
        if not self._attempt("", partial(self._read, now)):
            return
        for name, driver in self._drivers.items():
            self._attempt(name, partial(self._ask, name, driver, now))
        if self._answered < set(self._drivers):
            return  # what the process before this one said holds until all is known again
        models = list(self._routing.values())
        at, said = self._said
        if models == said:
            return
        if said is None or _shares(models) != _shares(said) or now - at >= _FACTS_SECONDS:
            self._said = now, models
            self._say(Routing(models=models))

    def close(self) -> None:
        """Gives the leases back, so that other servers go on at once."""
        for driver in self._drivers.values():
            try:
                driver.close()
            except JournalError as error:
                _log.warning("a lease could not be given back; it ends by itself: %s", describe(error))
        if self._server is not None:
            self._server.database.close()

    def _ask(self, name: str, driver: Driver, now: float) -> None:
        routing = driver.tick(now)
        self._answered.add(name)
        if routing is None:
            self._routing.pop(name, None)
        else:
            self._routing[name] = routing

    def _attempt(self, name: str, work: Callable[[], object]) -> bool:
        """Does something that may fail; says a failure once, and its end."""
        try:
            work()
        except JournalError as error:
            self._fails(name, f"the journal cannot be reached: {error}", error=None)
            return False
        except Exception as error:  # the other experiments go on
            self._answered.add(name)
            self._fails(name, f"could not be decided: {describe(error)}", error=error)
            return False
        if self._problems.pop(name, None) is not None:
            _log.info("%s: decided again", name or "experiments")
        return True

    def _fails(self, name: str, problem: str, *, error: Exception | None) -> None:
        if name not in self._problems:
            _log.error("%s: %s; shares stay as they are", name or "experiments", problem, exc_info=error)
        self._problems[name] = problem

    def _read(self, now: float) -> None:
        """Reads the files of the runtime folder, if they have changed."""
        config_file, models_file = self._folder / "config.json", self._folder / "models.json"
        content = config_file.read_bytes()
        models = msgspec.json.decode(models_file.read_bytes(), type=list[ResolvedModel])
        if self._server is not None and content == self._content:
            self._server.models = models
            return
        config = msgspec.json.decode(content, type=ServeConfig)
        assert config.journal.url is not None, "without a journal there is nothing to decide"
        database = open_database(config.journal.url)
        self.close()
        self._server = Server(config=config, models=models, database=database, holder=self._holder)
        self._drivers = self._driven(self._server, now)
        self._routing = {name: each for name, each in self._routing.items() if name in self._drivers}
        self._answered &= set(self._drivers)
        self._content = content

    def _driven(self, server: Server, now: float) -> dict[str, Driver]:
        names = dict.fromkeys(model.name for model in server.models)
        drivers: dict[str, Driver] = {}
        for name, model in zip(names, server.config.models, strict=True):
            if (config := model.experiment) is not None:
                kind = _kind(config.policy)
                since = configured_since(self._folder, config, now)
                drivers[name] = kind(server=server, name=name, config=config, since=since)
            elif model.canary is not None:
                drivers[name] = CanaryDriver(
                    name=name,
                    config=model.canary,
                    registry=server.config.registry,
                    poll_seconds=server.config.poll_seconds,
                    database=server.database,
                    holder=server.holder,
                    models=lambda: server.models,
                )
        return drivers


def _kind(policy: Policy) -> type[ExperimentDriver]:
    if isinstance(policy, Linear):
        from lightning_app.serving.experiments.process.linear_driver import LinearDriver  # it reads bodies, with Arrow

        return LinearDriver
    return SplitDriver if isinstance(policy, Split) else ThompsonDriver


def _shares(models: Sequence[ModelRouting]) -> list[ModelRouting]:
    """Routings without what is for people alone."""
    return [replace(model, facts={}) for model in models]
