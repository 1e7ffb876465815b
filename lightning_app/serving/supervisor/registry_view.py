"""Registry view: what the supervisor knows of the registry, and which versions it refused."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from lightning_app.serving.config.control_channel import RefusedVersion, RegistryState, ResolvedModel
from lightning_app.serving.supervisor.resolving import Unresolved

_log = logging.getLogger("lightning_app.serving.supervisor")


class RegistryView:
    """Whether the registry answers, which aliases have moved, and where they point to a version that is refused.

    Attributes:
        state: What workers are told.
    """

    def __init__(self) -> None:
        self.state = RegistryState(reachable=True, since=_now())
        self._gone: set[str] = set()

    def moved(self, models: Sequence[ResolvedModel], versions: Mapping[str, int | None]) -> list[str]:
        """References whose alias points to a version that is neither served nor refused.

        Args:
            models: What is served.
            versions: Version by reference; None for an alias that does not exist.
        """
        refused = {entry.name: entry.version for entry in self.state.refused}
        moved = []
        for model in models:
            if model.reference not in versions:
                continue
            version = versions[model.reference]
            if version is None:
                self._say_gone(model)
                continue
            self._gone.discard(model.reference)
            if version == model.version:
                self.forgive(model.name)
            elif refused.get(model.name, -1) != version:
                moved.append(model.reference)
        return moved

    def answers(self) -> None:
        """Notes that the registry answers."""
        if not self.state.reachable:
            self.state = msgspec.structs.replace(self.state, reachable=True, since=_now())
            _log.info("the registry answers again")

    def is_silent(self, why: str) -> None:
        """Notes that the registry does not answer.

        Args:
            why: What was tried.
        """
        if self.state.reachable:
            self.state = msgspec.structs.replace(self.state, reachable=False, since=_now())
            _log.error("%s; what is loaded is served on", why)

    def refuse(self, served: ResolvedModel, version: int | None, error: str) -> None:
        """Notes that a version is not served; the one before is, until its alias is moved again.

        Args:
            served: The one before.
            version: Its number.
            error: Why.
        """
        name = served.name
        self.forgive(name)
        refused = RefusedVersion(name=name, version=version, error=error, since=_now())
        self.state = msgspec.structs.replace(self.state, refused=[*self.state.refused, refused])
        what = name if version is None else f"{name}@{version}"
        facts = {"model": name, "version": version}
        _log.error("%s is refused, %s is served on: %s", what, served.title, error, extra={"facts": facts})

    def forgive(self, name: str) -> None:
        """Forgets that a version of a model was refused.

        Args:
            name: Name of the model.
        """
        if any(entry.name == name for entry in self.state.refused):
            kept = [entry for entry in self.state.refused if entry.name != name]
            self.state = msgspec.structs.replace(self.state, refused=kept)

    def wanted(
        self,
        models: Sequence[ResolvedModel],
        entries: Sequence[ResolvedModel | Unresolved],
        versions: Mapping[str, int | None],
    ) -> list[ResolvedModel]:
        """What is to be served after models were resolved again; those that could not be stay as they are.

        Args:
            models: What is served.
            entries: Outcome of each model, in the same order.
            versions: Version by reference, as the registry gave it before.
        """
        wanted: list[ResolvedModel] = []
        for served, entry in zip(models, entries, strict=True):
            if isinstance(entry, ResolvedModel):
                wanted.append(entry)
                continue
            wanted.append(served)
            if entry.unreachable:
                self.is_silent(entry.error)
            else:
                self.refuse(served, entry.version or versions.get(served.reference), entry.error)
        return wanted

    def _say_gone(self, model: ResolvedModel) -> None:
        if model.reference not in self._gone:
            self._gone.add(model.reference)
            _log.warning("%s does not exist any more; %s is served on", model.reference, model.title)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
