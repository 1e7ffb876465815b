"""Replica: what answers in one replica of Ray Serve; the same parts as in a worker of a server."""

import asyncio
import logging

from lightning_app.serving.config.arm_references import arm_references
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.http.app import ServingApp
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.journal.maintenance import JournalMaintenance
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.ray_adapter.alias_follower import AliasFollower
from lightning_app.serving.ray_adapter.node_folder import NodeFolder
from lightning_app.serving.supervisor.resolving import check_names, resolve_models
from lightning_app.serving.worker.assembly import (
    METRICS,
    app_of,
    close_state,
    log_failure,
    open_state,
    start_journal,
    watch_state,
)
from lightning_app.serving.worker.loading import Loading

_log = logging.getLogger("lightning_app.serving.ray")


class Replica:
    """State, journal and application of a replica; use `Replica.open`.

    Args:
        folder: Folder of the replicas of its node.
        state: Its state.
        maintenance: Of the journal; None without one.
        tasks: What runs beside the answers.

    Attributes:
        app: The ASGI application.
    """

    def __init__(
        self,
        *,
        folder: NodeFolder,
        state: ServingState,
        maintenance: JournalMaintenance | None,
        tasks: list[asyncio.Task[None]],
    ) -> None:
        self._folder = folder
        self._state = state
        self._maintenance = maintenance
        self._tasks = tasks
        self.app: ServingApp = app_of(state)

    @classmethod
    async def open(cls, config: ServeConfig, *, node: str, process: str) -> "Replica":
        """Resolves, loads and verifies all models, and starts the journal.

        Args:
            config: Configuration.
            node: Name of the node and the application; replicas of the same share metrics, key counters and sessions.
            process: Name of the replica in traces.

        Raises:
            ValueError: A model cannot be served, or the journal cannot be used.
        """
        models = await _resolved(config)
        folder = await asyncio.to_thread(NodeFolder, node)
        try:
            metrics = Metrics(folder=folder.path / METRICS, worker=str(folder.number))
            state = open_state(folder=folder.path, config=config, models=models, metrics=metrics, process=process)
            models = await asyncio.to_thread(_load, state, models)
            maintenance = None
            if config.journal.url is not None:
                maintenance = await asyncio.to_thread(JournalMaintenance, config.journal)
            await start_journal(state)
        except BaseException:
            folder.close()
            raise
        if maintenance is not None:
            maintenance.start()
        following = asyncio.create_task(AliasFollower(state, models).run())
        following.add_done_callback(log_failure)
        metrics.ready()
        return cls(folder=folder, state=state, maintenance=maintenance, tasks=[following, *watch_state(state)])

    async def close(self) -> None:
        """Ends what runs beside the answers, and closes the journal."""
        self._state.is_draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._state.journal is not None:
            await self._state.journal.close()
        if self._maintenance is not None:
            await asyncio.to_thread(self._maintenance.stop)
        close_state(self._state)
        self._folder.close()


async def _resolved(config: ServeConfig) -> list[ResolvedModel]:
    groups, notes = await resolve_models(config, verify=False)
    for note in notes:
        _log.warning("%s", note)
    models = []
    for entry in (entry for group in groups for entry in group):
        if not isinstance(entry, ResolvedModel):
            raise ValueError(entry.error)
        models.append(entry)
    check_names([group[0] for group in groups if isinstance(group[0], ResolvedModel)])
    return models


def _load(state: ServingState, models: list[ResolvedModel]) -> list[ResolvedModel]:
    """Loads all models; those that were loaded, which are all but arms that a server goes on without."""
    loading = Loading(state)
    loaded = []
    for model in models:
        if (failed := loading.load(model)) is None:
            loaded.append(model)
        elif not any(
            arm.is_optional for arm in arm_references(state.models[model.name].config) if arm.arm == model.arm
        ):
            raise ValueError(f"{model.title} could not be loaded: {failed.error}")
    return loaded
