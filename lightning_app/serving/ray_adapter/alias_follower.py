"""AliasFollower: serves in a replica what the aliases of its configuration point to."""

import asyncio
import logging
import random

import msgspec

from lightning_app.registry.storage.errors import RegistryUnreachableError
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.security.without_paths import without_paths
from lightning_app.serving.supervisor.alias_watch import AliasWatch
from lightning_app.serving.supervisor.registry_view import RegistryView
from lightning_app.serving.supervisor.resolving import resolve_models
from lightning_app.serving.supervisor.served_arms import ServedArms, served_arms
from lightning_app.serving.worker.loading import Loading

_log = logging.getLogger("lightning_app.serving.ray")


class AliasFollower:
    """Does in a replica what the supervisor of a server does for its workers.

    Args:
        state: State of the replica.
        models: What it serves: the arms of each model, in the order of the configuration.
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
        config = self._state.config
        served = served_arms(config.models, self._models)
        moved = self._view.moved(served, versions)
        if not moved:
            return
        touched = [model for model in served if any(arm.model in moved for arm in model.references)]
        asked = msgspec.structs.replace(config, models=[model.config for model in touched])
        groups, notes = await resolve_models(asked, verify=True)
        for note in notes:
            _log.warning("%s", note)
        found = {model.name: entries for model, entries in zip(touched, groups, strict=True)}
        models: list[ResolvedModel] = []
        for model in served:
            wanted = list(model.held.values())
            if model.name in found:
                wanted = self._view.wanted(model, found[model.name], versions)
            models += [each for new in wanted if (each := await self._loaded(model, new)) is not None]
        self._models = models
        self._loading.keep(models)

    async def _loaded(self, model: ServedArms, new: ResolvedModel) -> ResolvedModel | None:
        """What an arm serves once a version was to be loaded: it, else the one before, None without either."""
        old = model.held.get(new.arm)
        if new == old:
            return old
        if new.name != model.name:
            error = f"it is called {new.name}, and a replica keeps the names that it started with"
            self._view.refuse((model.name, new.arm), old, new.version, error)
            return old
        if (failed := await asyncio.to_thread(self._loading.load, new)) is not None:
            self._view.refuse(new.slot, old, new.version, failed.error)
            return old
        self._view.forgive(new.slot)
        _log.info("%s is served as %s", new.title, new.arm)
        return new

    def _tell(self) -> None:
        state = self._view.state
        refused = [msgspec.structs.replace(each, error=without_paths(each.error)) for each in state.refused]
        self._state.registry = msgspec.structs.replace(state, refused=refused)  # clients are told
        self._state.metrics.registry_reachable.set(float(state.reachable))
        names = {each.name for each in refused}
        for name in self._state.models:
            self._state.metrics.version_refused(name=name, is_refused=name in names)
