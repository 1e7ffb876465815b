"""Alias watch: asks the registry every few seconds which versions the served aliases point to."""

import asyncio
from collections.abc import Mapping

import msgspec

from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.alias_reader import Alias, AliasReader
from lightning_app.registry.storage.cache_place import cache_root, registry_folder, snapshot_file
from lightning_app.registry.storage.errors import RegistryUnreachableError
from lightning_app.registry.storage.reference import read_reference
from lightning_app.serving.config.arm_references import arm_references
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.supervisor.file_state import file_state
from lightning_app.serving.supervisor.resolving import Unresolved, is_folder, resolve_models

_SLOW_SECONDS = 300.0
"""How often a registry is asked that only MLflow can read, in a process of its own."""


class AliasWatch:
    """Reads the aliases of a configuration; imports neither MLflow nor numpy.

    Args:
        config: Configuration.

    Attributes:
        seconds: Time from one question to the next.
        aliases: Served aliases by reference; none if all models are folders or versions by number.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        named = dict.fromkeys(arm.model for model in config.models for arm in arm_references(model))
        references = [reference for reference in named if not is_folder(reference)]
        self.aliases: Mapping[str, Alias] = {
            reference: (read.name, read.alias)
            for reference, read in ((reference, read_reference(reference)) for reference in references)
            if read.alias is not None
        }
        address = RegistryAddress.find(config.registry)
        self._reader = AliasReader(address)
        folder = registry_folder(cache_root(), address)
        self._known = {reference: snapshot_file(folder, name) for reference, (name, _) in self.aliases.items()}
        self._states = self._file_states()
        self.seconds = config.poll_seconds if self._reader.is_cheap else max(config.poll_seconds, _SLOW_SECONDS)

    @property
    def note(self) -> str | None:
        """What is to be said about how often the registry is asked."""
        if self._reader.is_cheap or not self.aliases:
            return None
        return f"only MLflow can read this registry: aliases are asked every {self.seconds:g} s"

    async def read(self) -> dict[str, int | None]:
        """Versions by reference; None for an alias that does not exist any more.

        Raises:
            RegistryUnreachableError: The registry does not answer.
        """
        if not self._reader.is_cheap:
            return await self._read_in_child()
        versions = await asyncio.to_thread(self._reader.read, list(self.aliases.values()))
        return {reference: versions[alias] for reference, alias in self.aliases.items()}

    def changed_locally(self) -> list[str]:
        """References whose last known state on this machine has changed since this was last asked.

        A registry that does not answer cannot say where its aliases point, but a rollback on this machine takes effect.
        """
        before, self._states = self._states, self._file_states()
        return [reference for reference, state in self._states.items() if state != before[reference]]

    def _file_states(self) -> dict[str, tuple[int, int] | None]:
        return {reference: file_state(path) for reference, path in self._known.items()}

    async def _read_in_child(self) -> dict[str, int | None]:
        groups, _ = await resolve_models(msgspec.structs.replace(self._config, trusted_keys=[]), verify=False)
        versions: dict[str, int | None] = dict.fromkeys(self.aliases)
        for entry in (entry for group in groups for entry in group):
            if isinstance(entry, Unresolved) and entry.unreachable:
                raise RegistryUnreachableError(entry.error)
            reference = entry.arm.model if isinstance(entry, Unresolved) else entry.reference
            if reference in versions:
                versions[reference] = entry.version
        return versions
