"""Fleet: all workers of a server; loads versions into them, and replaces them when the configuration changes."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from lightning_app.serving.config.control_channel import ReadKeys, RegistryState, ResolvedModel, Routing, Slot
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.supervisor.file_state import file_state
from lightning_app.serving.supervisor.listening import Listeners
from lightning_app.serving.supervisor.runtime_folder import RuntimeFolder
from lightning_app.serving.supervisor.worker_group import WorkerGroup
from lightning_app.serving.supervisor.worker_process import WorkerProcess

_log = logging.getLogger("lightning_app.serving.supervisor")
_MARGIN_SECONDS = 5.0
"""Beyond the time that workers have to drain."""


class Fleet:
    """Workers of one configuration, and those of the one before while they drain.

    Args:
        listeners: Bound sockets that the workers inherit.

    Attributes:
        config: Configuration of the workers.
        models: What they serve, in the order of the configuration.
    """

    config: ServeConfig
    models: list[ResolvedModel]

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._folder = RuntimeFolder()
        self._group: WorkerGroup | None = None
        self._draining: dict[WorkerGroup, asyncio.Task[bool]] = {}
        self._state: RegistryState | None = None
        self._routing: Routing | None = None
        self._files: Mapping[str, object] = {}

    async def start(self, config: ServeConfig, models: list[ResolvedModel]) -> None:
        """Starts the workers; those of the configuration before, if there are any, drain once the new ones are ready.

        Args:
            config: Configuration.
            models: Packages of its models.

        Raises:
            UsageError: A model cannot be served.
            RuntimeError: No worker became ready.
        """
        before = None if self._group is None else (self._group, self.config, self.models, self._files)
        self.config, self.models, self._files = config, models, files_read_once(config)
        self._routing = None
        self._write()
        used = {number for group in (self._group, *self._draining) if group is not None for number in group.numbers}
        free = [number for number in range(len(used) + config.num_workers) if number not in used]
        group = self._group = WorkerGroup(
            numbers=free[: config.num_workers], launch=self._launch, on_ready=self._catch_up
        )
        try:
            await group.start()
        except BaseException:
            group.kill()
            await group.stop(_MARGIN_SECONDS)
            self._group = None
            if before is not None:
                self._group, self.config, self.models, self._files = before
                self._write()
            raise
        if before is not None:
            self._drain(before[0], before[1].limits.drain_seconds)

    def is_stale(self, config: ServeConfig) -> bool:
        """Whether workers of a configuration would differ from those that run: it, or a certificate, has changed.

        Args:
            config: The configuration.
        """
        return config != self.config or files_read_once(config) != self._files

    async def load(self, models: list[ResolvedModel]) -> dict[Slot, str]:
        """Makes all workers serve other versions; one that any worker cannot load is served by none.

        Args:
            models: All models, of the same names as before.

        Returns:
            Errors by name and arm of the model.
        """
        assert self._group is not None
        changed = [model for model in models if model not in self.models]
        errors = await self._group.load(models, changed)
        if errors:
            kept = {model.slot: model for model in self.models if model.slot in errors}
            models = [kept.get(model.slot, model) for model in models if model.slot in kept or model.slot not in errors]
            await self._group.load(models, list(kept.values()))
        self.models = models
        self._write()
        for worker in self._group.workers:  # those that became ready meanwhile
            await self._catch_up(worker)
        return errors

    def read_keys(self) -> None:
        """Makes all workers read the API keys again."""
        if self._group is not None:
            self._group.broadcast(ReadKeys())

    def tell(self, state: RegistryState) -> None:
        """Tells all workers, and those that start later, about the registry.

        Args:
            state: State of the registry.
        """
        if state != self._state:
            self._state = state
            if self._group is not None:
                self._group.broadcast(state)

    def route(self, routing: Routing) -> None:
        """Tells all workers, and those that start later, who answers which share.

        Args:
            routing: The shares.
        """
        self._routing = routing
        if self._group is not None:
            self._group.broadcast(routing)

    @property
    def folder(self) -> Path:
        """Runtime folder."""
        return self._folder.path

    def kill(self) -> None:
        """Ends all workers at once."""
        for group in (self._group, *self._draining):
            if group is not None:
                group.kill()

    async def stop(self) -> bool:
        """Makes all workers answer what they are answering, and ends them.

        Returns:
            Whether all ended in time.
        """
        self._listeners.close()
        if self._group is not None:
            self._drain(self._group, self.config.limits.drain_seconds)
            self._group = None
        return all(await asyncio.gather(*self._draining.values()))

    async def end(self) -> None:
        """Ends what is left at once, and removes the runtime folder."""
        self.kill()
        await self.stop()
        self._folder.remove()

    def _drain(self, group: WorkerGroup, seconds: float) -> None:
        task = self._draining[group] = asyncio.create_task(group.stop(seconds + _MARGIN_SECONDS))
        task.add_done_callback(lambda _: self._draining.pop(group))

    def _write(self) -> None:
        self._folder.write_config(self.config)
        self._folder.write_models(self.models)

    async def _launch(self, number: int) -> WorkerProcess:
        return await WorkerProcess.start(
            number=number,
            folder=self._folder.path,
            models=self.models,
            listeners=self._listeners,
            lock=self._folder.lock,
            unresponsive_seconds=self.config.limits.unresponsive_seconds,
        )

    async def _catch_up(self, worker: WorkerProcess) -> None:
        """Tells a worker what has happened while it started."""
        if self._state is not None:
            worker.send(self._state)
        if self._routing is not None:
            worker.send(self._routing)
        if list(worker.models) != self.models:
            await worker.load(self.models, [model for model in self.models if model not in worker.models])


def files_read_once(config: ServeConfig) -> dict[str, tuple[int, int] | None]:
    """Time and size of files that workers read only when they start: certificates and public keys.

    Args:
        config: Configuration.
    """
    return {path: file_state(Path(path)) for path in (config.tls_cert, config.tls_key, *config.trusted_keys) if path}
