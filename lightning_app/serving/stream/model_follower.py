"""ModelFollower: the version that answers; follows the alias of the registry in a thread beside the stream."""

import asyncio
import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from lightning_app.errors import UsageError, describe
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.inference.calibration import BatchPlan
from lightning_app.serving.inference.load import load_model
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.supervisor.registry_view import RegistryView
from lightning_app.serving.supervisor.resolving import resolve_models
from lightning_app.serving.supervisor.served_arms import ServedArms, served_arms

if TYPE_CHECKING:
    from lightning_app.serving.supervisor.alias_watch import AliasWatch

_log = logging.getLogger("lightning_app.serving.stream")
_LONGEST_PAUSE = 300.0
Loaded = tuple[LoadedModel, BatchPlan]


class ModelFollower:
    """Loads the model of a stream, and the versions that its alias moves to.

    Names are resolved in a process of its own, which alone imports MLflow; a version is loaded and verified in a thread
    while the one before still answers.

    Args:
        config: Configuration with the one model.
        metrics: Metrics of the worker.
    """

    def __init__(self, config: ServeConfig, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._view = RegistryView()
        self._served: ResolvedModel | None = None
        self._next: Loaded | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> Loaded:
        """Resolves and loads the model.

        Raises:
            UsageError: It cannot be answered with.
            RegistryUnreachableError: The registry does not answer, and the model is not cached.
            RuntimeError: The registry cannot be asked.
        """
        ((entry,),), notes = asyncio.run(resolve_models(self._config, verify=False))
        for note in notes:
            _log.warning("%s", note)
        if not isinstance(entry, ResolvedModel):
            if entry.unreachable:
                from lightning_app.registry.storage.errors import RegistryUnreachableError

                raise RegistryUnreachableError(entry.error)
            raise UsageError(entry.error) if entry.code == 2 else RuntimeError(entry.error)
        self._served = entry
        return self._loaded(entry)

    def start(self) -> None:
        """Follows the alias from now on; a folder, or a version by its number, is not followed."""
        from lightning_app.serving.supervisor.alias_watch import AliasWatch

        watch = AliasWatch(self._config)
        if not watch.aliases:
            return
        if watch.note:
            _log.warning("%s", watch.note)
        self._thread = threading.Thread(target=self._run, args=(watch,), name="registry", daemon=True)
        self._thread.start()

    def take(self) -> Loaded | None:
        """The version that is to answer from now on; None if that has not changed."""
        following, self._next = self._next, None
        return following

    def stop(self) -> None:
        """Ends the thread, unless it is just loading a version."""
        self._stopping.set()

    def _run(self, watch: "AliasWatch") -> None:
        pause = watch.seconds
        while not self._stopping.wait(pause * random.uniform(0.9, 1.1)):
            try:
                is_up_to_date = asyncio.run(self._follow(watch))
            except Exception:
                _log.exception("the registry could not be followed")
                is_up_to_date = False
            self._metrics.registry_reachable.set(float(self._view.state.reachable))
            pause = watch.seconds if is_up_to_date else min(2 * pause, max(_LONGEST_PAUSE, watch.seconds))

    @property
    def _arms(self) -> list[ServedArms]:
        assert self._served is not None
        return served_arms(self._config.models, [self._served])

    async def _follow(self, watch: "AliasWatch") -> bool:
        """Loads what the alias points to; whether that worked, or will not be tried again."""
        from lightning_app.registry.storage.errors import RegistryUnreachableError

        assert self._served is not None
        versions: dict[str, int | None] = {}
        try:
            versions = await watch.read()
        except RegistryUnreachableError as error:
            self._view.is_silent(str(error))
            if not watch.changed_locally():
                return True
        else:
            self._view.answers()
            watch.changed_locally()  # what the registry says is newer
            if not self._view.moved(self._arms, versions):
                return True
        (entries,), notes = await resolve_models(self._config, verify=True)
        for note in notes:
            _log.warning("%s", note)
        (wanted,) = self._view.wanted(self._arms[0], entries, versions)
        if wanted != self._served:
            self._replace(wanted)
        is_refused = any(entry.name == self._served.name for entry in self._view.state.refused)
        self._metrics.version_refused(name=self._served.name, is_refused=is_refused)
        return not self._view.moved(self._arms, versions)

    def _replace(self, wanted: ResolvedModel) -> None:
        assert self._served is not None
        try:
            following = self._loaded(wanted)
        except Exception as error:
            self._view.refuse(self._served.slot, self._served, wanted.version, describe(error))
            self._metrics.reloaded(name=self._served.name, result="failed")
            return
        before, self._served, self._next = self._served, wanted, following
        self._view.forgive(wanted.slot)
        self._metrics.served(name=before.name, version=before.version, digest=before.digest, is_served=False)
        self._metrics.served(name=wanted.name, version=wanted.version, digest=wanted.digest)
        self._metrics.reloaded(name=wanted.name, result="loaded")
        _log.info("%s answers from the next batch on, it was %s", wanted.title, before.title)

    def _loaded(self, resolved: ResolvedModel) -> Loaded:
        started = time.monotonic()
        model, plan = load_model(resolved, self._config.models[0])
        self._metrics.served(name=resolved.name, version=resolved.version, digest=resolved.digest)
        facts = {
            "model": resolved.name,
            "version": resolved.version,
            "digest": resolved.digest,
            "seconds": round(time.monotonic() - started, 3),
            "max_rows": plan.max_rows,
        }
        _log.info("loaded", extra={"facts": facts})
        return model, plan
