"""AliasFollower: serves in a replica what the aliases of its configuration point to."""

import asyncio
import logging
import random

import msgspec

from lightning_app.registry.storage.errors import RegistryUnreachableError
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.supervisor.alias_watch import AliasWatch
from lightning_app.serving.supervisor.registry_view import RegistryView
from lightning_app.serving.supervisor.resolving import resolve_models
from lightning_app.serving.worker.loading import Loading

_log = logging.getLogger("lightning_app.serving.ray")


class AliasFollower:
    """Does in a replica what the supervisor of a server does for its workers.

    Args:
        state: State of the replica.
        models: What it serves, in the order of the configuration.
    """

    def __init__(self, state: ServingState, models: list[ResolvedModel]) -> None:
        self._state = state
        self._models = models
        self._loading = Loading(state)
        self._view = RegistryView()

    async def run(self) -> None:
        """Runs until it is cancelled; returns at once if no model is served by an alias."""
        watch = AliasWatch(self._state.config)
        if not watch.aliases:
            return
        if watch.note:
            _log.warning("%s", watch.note)
        while True:
            try:
                await self._follow(watch)
            except Exception:
                _log.exception("the registry could not be followed")
            self._tell()
            await asyncio.sleep(watch.seconds * random.uniform(0.9, 1.1))  # replicas do not ask all at once

    async def _follow(self, watch: AliasWatch) -> None:
        try:
            versions = await watch.read()
        except RegistryUnreachableError as error:
            self._view.is_silent(str(error))
            return
        self._view.answers()
        moved = self._view.moved(self._models, versions)
        if not moved:
            return
        config = self._state.config
        asked = [model for model in config.models if model.model in moved]
        entries, notes = await resolve_models(msgspec.structs.replace(config, models=asked), verify=True)
        for note in notes:
            _log.warning("%s", note)
        found = iter(entries)
        outcomes = [next(found) if model.reference in moved else model for model in self._models]
        for place, new in enumerate(self._view.wanted(self._models, outcomes, versions)):
            if new != self._models[place]:
                await self._load(place, new)

    async def _load(self, place: int, new: ResolvedModel) -> None:
        old = self._models[place]
        if new.name != old.name:
            self._view.refuse(old, new.version, f"it is called {new.name}; names change when replicas are replaced")
            return
        if (failed := await asyncio.to_thread(self._loading.load, new)) is not None:
            self._view.refuse(old, new.version, failed.error)
            return
        self._models[place] = new
        self._view.forgive(new.name)
        _log.info("%s is served, it was %s", new.title, old.title)

    def _tell(self) -> None:
        self._state.registry = self._view.state
        self._state.metrics.registry_reachable.set(float(self._view.state.reachable))
        refused = {each.name for each in self._view.state.refused}
        for name in self._state.models:
            self._state.metrics.version_refused(name=name, is_refused=name in refused)
