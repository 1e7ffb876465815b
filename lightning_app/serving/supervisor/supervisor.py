"""Supervisor: starts the workers, keeps them alive, follows the registry and its signals, and ends them in order."""

import asyncio
import logging
import os
import random
import signal
import sys
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from lightning_app.errors import UsageError, describe
from lightning_app.serving.config.arm_references import arm_references
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.resilience_config import check_faults
from lightning_app.serving.config.serve_config import JournalConfig, ServeConfig
from lightning_app.serving.config.socket_address import host_and_port
from lightning_app.serving.experiments.process.registration import check_registered
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.maintenance import JournalMaintenance
from lightning_app.serving.security.exposure import check_exposure
from lightning_app.serving.supervisor.announcement import announce, facts
from lightning_app.serving.supervisor.fleet import Fleet
from lightning_app.serving.supervisor.kept_process import KeptProcess
from lightning_app.serving.supervisor.listening import Listeners, address_of
from lightning_app.serving.supervisor.registry_view import RegistryView
from lightning_app.serving.supervisor.resolving import check_names, resolve_models
from lightning_app.serving.supervisor.served_arms import ServedArms, served_arms
from lightning_app.serving.supervisor.side_processes import side_processes

if TYPE_CHECKING:
    from lightning_app.serving.supervisor.alias_watch import AliasWatch

_log = logging.getLogger("lightning_app.serving.supervisor")
_LONGEST_PAUSE = 300.0
"""Between two questions to a registry whose packages cannot be fetched."""


class Supervisor:
    """A server: one supervisor and its workers.

    Args:
        config: Configuration.
        read_config: Reads the configuration again, as it is when SIGHUP arrives.
        listeners: Bound sockets.
    """

    def __init__(self, *, config: ServeConfig, read_config: Callable[[], ServeConfig], listeners: Listeners) -> None:
        self._config = config
        self._read_config = read_config
        self._listeners = listeners
        self._fleet = Fleet(listeners)
        self._view = RegistryView()
        self._lock = asyncio.Lock()
        self._stop = asyncio.Event()
        self._is_killed = False
        self._rereads = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._maintenance: JournalMaintenance | None = None
        self._beside: list[KeptProcess] = []

    async def run(self, *, check: bool = False) -> int:
        """Serves until a signal ends it.

        Args:
            check: End as soon as all models are loaded.

        Returns:
            Exit code.

        Raises:
            UsageError: A model cannot be served.
            RegistryUnreachableError: A model is not cached, and the registry does not answer.
            RuntimeError: No worker became ready.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self._reread()))
        stopping = asyncio.create_task(self._stop.wait())
        starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._announce(check)
                if not check:
                    self._begin(self._watch(self._config))
                    await self._start_beside(self._config)
                    await stopping
            await _cancelled(starting, *self._tasks)  # no version is loaded into workers that drain
            await self._end_beside()
            return await self._drain()
        finally:
            await _cancelled(starting, stopping, *self._tasks)
            await self._end_beside()
            await self._fleet.end()
            if self._maintenance is not None:
                await asyncio.to_thread(self._maintenance.stop)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the supervisor failed", exc_info=error)

    def _on_stop(self) -> None:
        if self._stop.is_set():
            self._is_killed = True
            self._fleet.kill()
        self._stop.set()

    async def _drain(self) -> int:
        """Ends the workers in order; the exit code."""
        _log.info("draining")
        in_time = await self._fleet.stop()
        if self._is_killed:
            _log.warning("ended at once by a second signal; requests that were being answered failed")
        elif not in_time:
            _log.error("workers were killed: they still answered after %g s", self._config.limits.drain_seconds)
        _log.info("ended")
        return 0 if in_time and not self._is_killed else 1

    def _announce(self, check: bool) -> None:
        if check:
            text = "; ".join(("every model was loaded and verified", *facts(self._config, self._fleet.models)))
        else:
            address = address_of(self._listeners.http, tls=self._config.tls_cert is not None)
            grpc = None if self._listeners.grpc is None else host_and_port(self._listeners.grpc)
            text = announce(address, self._config, self._fleet.models, grpc_address=grpc)
            told = {"address": address, "grpc_address": grpc, "workers": self._config.num_workers, "pid": os.getpid()}
            _log.info("ready", extra={"facts": told})
        try:
            print(text, flush=True)  # noqa: T201
        except BrokenPipeError:
            if check:
                raise
            # Nobody reads the line, which the log has too: no reason to stop serving.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    async def _start(self) -> None:
        async with self._lock:  # SIGHUP waits
            await self._maintain(self._config.journal)
            models = await self._resolved(self._config)
            await self._check_experiments(self._config, models)
            await self._fleet.start(self._config, models)

    async def _maintain(self, config: JournalConfig) -> None:
        """Maintains the journal here, away from the workers; refuses an address that cannot be one."""
        maintenance = None
        if config.url is not None:
            try:
                maintenance = await asyncio.to_thread(JournalMaintenance, config)
            except ValueError as error:
                raise UsageError(str(error)) from error
            if maintenance.last_error is not None:
                _log.warning("%s", maintenance.last_error)
            maintenance.start()
        if self._maintenance is not None:
            await asyncio.to_thread(self._maintenance.stop)
        self._maintenance = maintenance

    async def _check_experiments(self, config: ServeConfig, models: list[ResolvedModel]) -> None:
        """Refuses names that belong to other experiments, as far as the journal can be read."""
        try:
            await asyncio.to_thread(check_registered, config, models)
        except JournalError as error:
            _log.warning("names of experiments are checked once the journal can be read: %s", error)

    async def _start_beside(self, config: ServeConfig) -> None:
        """Runs what a configuration needs beside the workers; ends what the one before needed."""
        await self._end_beside()
        self._beside = side_processes(config, self._fleet.folder, self._fleet.route)
        for process in self._beside:
            process.start()

    async def _end_beside(self) -> None:
        while self._beside:
            await self._beside.pop().stop()

    async def _resolved(self, config: ServeConfig) -> list[ResolvedModel]:
        """Packages of all models; raises if one cannot be found."""
        groups, notes = await resolve_models(config, verify=False)
        for note in notes:
            _log.warning("%s", note)
        models = []
        for entry in (entry for group in groups for entry in group):
            if isinstance(entry, ResolvedModel):
                models.append(entry)
            elif entry.unreachable:
                from lightning_app.registry.storage.errors import RegistryUnreachableError

                raise RegistryUnreachableError(entry.error)
            else:
                raise UsageError(entry.error) if entry.code == 2 else RuntimeError(entry.error)
        own = [group[0] for group in groups if isinstance(group[0], ResolvedModel)]
        check_names(own)
        if config.chaos is not None:
            served = dict(zip((model.name for model in own), config.models, strict=True))
            arms = {name: [reference.arm for reference in arm_references(model)] for name, model in served.items()}
            check_faults(config.chaos, arms, [name for name, model in served.items() if model.store is not None])
        return models

    async def _watch(self, config: ServeConfig) -> None:
        """Follows the aliases of a configuration until another one takes its place."""
        from lightning_app.serving.supervisor.alias_watch import AliasWatch

        watch = AliasWatch(config)
        if not watch.aliases:
            return
        if watch.note:
            _log.warning("%s", watch.note)
        pause = watch.seconds
        while True:
            async with self._lock:
                if self._config is not config:
                    return
                try:
                    is_up_to_date = await self._follow(watch)
                except Exception:
                    _log.exception("the registry could not be followed")
                    is_up_to_date = False
                self._fleet.tell(self._view.state)
            # Packages that cannot be fetched are asked for less and less often: each attempt imports MLflow.
            pause = watch.seconds if is_up_to_date else min(2 * pause, max(_LONGEST_PAUSE, watch.seconds))
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # so that many servers do not ask at once

    async def _follow(self, watch: "AliasWatch") -> bool:
        """Serves what the aliases point to; whether that worked, or will not be tried again."""
        from lightning_app.registry.storage.errors import RegistryUnreachableError

        try:
            versions = await watch.read()
        except RegistryUnreachableError as error:
            self._view.is_silent(str(error))
            if changed := watch.changed_locally():
                await self._reload(changed, {})
            return True
        self._view.answers()
        watch.changed_locally()  # what the registry says is newer
        moved = self._view.moved(self._served, versions)
        if not moved:
            return True
        await self._reload(moved, versions)
        return not self._view.moved(self._served, versions)

    @property
    def _served(self) -> list[ServedArms]:
        return served_arms(self._config.models, self._fleet.models)

    async def _reload(self, references: Collection[str], versions: Mapping[str, int | None]) -> None:
        """Resolves models again, and serves what is new; what cannot be served leaves the version before."""
        before, arms = list(self._fleet.models), self._served
        touched = [any(arm.model in references for arm in model.references) for model in arms]
        models = [model.config for model, is_touched in zip(arms, touched, strict=True) if is_touched]
        groups, notes = await resolve_models(msgspec.structs.replace(self._config, models=models), verify=True)
        for note in notes:
            _log.warning("%s", note)
        found = iter(groups)
        wanted: list[ResolvedModel] = []
        own: list[ResolvedModel] = []
        for model, is_touched in zip(arms, touched, strict=True):
            group = self._view.wanted(model, next(found), versions) if is_touched else list(model.held.values())
            wanted += group
            own.append(group[0])
        if [model.name for model in own] != [model.name for model in arms]:
            check_names(own)
            await self._fleet.start(self._config, wanted)
        elif wanted != before:
            errors = await self._fleet.load(wanted)
            held, asked = ({served.slot: served for served in models} for models in (before, wanted))
            for slot, error in errors.items():
                self._view.refuse(slot, held.get(slot), asked[slot].version, error)
        self._say_changes(before)

    def _say_changes(self, before: Sequence[ResolvedModel]) -> None:
        """Logs what is served now and was not before, and the reverse."""
        held = {model.slot: model for model in before}
        for model in self._fleet.models:
            old = held.pop(model.slot, None)
            if old is None:
                _log.info("%s is served as %s", model.title, model.arm)
            elif old != model:
                _log.info("%s is served, it was %s", model.title, old.title)
            if old != model:
                self._view.forgive(model.slot)
        for old in held.values():
            _log.info("%s is served as %s no longer", old.title, old.arm)

    async def _reread(self) -> None:
        """Follows SIGHUP: API keys, models, then everything else but the address, without an interruption."""
        if self._rereads:
            return  # one that waits will read what this one would
        self._rereads = True
        async with self._lock:
            self._rereads = False
            self._fleet.read_keys()
            try:
                await self._apply(self._read_config())
            except Exception as error:
                _log.error("the configuration before is kept: %s", describe(error))
            self._fleet.tell(self._view.state)

    async def _apply(self, config: ServeConfig) -> None:
        fixed = {name: getattr(self._config, name) for name in ("host", "port", "grpc_port")}
        if fixed != {name: getattr(config, name) for name in fixed}:
            _log.warning("host and port need a restart; %(host)s:%(port)d is kept, gRPC %(grpc_port)s", fixed)
            config = msgspec.structs.replace(config, **fixed)
            check_exposure(config)  # it was checked with another host
        if not self._fleet.is_stale(config):
            self._view.forgive_all()
            await self._reload({arm.model for model in self._served for arm in model.references}, {})
            _log.info("API keys and models were read again")
            return
        models, before = await self._resolved(config), self._config.journal
        await self._check_experiments(config, models)
        if config.journal != before:
            await self._maintain(config.journal)
        try:
            await self._fleet.start(config, models)
        except BaseException:
            if config.journal != before:
                await self._maintain(before)
            raise
        self._config = config
        await self._start_beside(config)
        self._view = RegistryView()
        self._begin(self._watch(config))
        _log.info("the configuration was replaced; %s", "; ".join(facts(config, self._fleet.models)))


async def _cancelled(*tasks: asyncio.Task[None] | asyncio.Task[Literal[True]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
