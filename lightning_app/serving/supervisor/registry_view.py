"""Registry view: what the supervisor knows of the registry, and which versions it refused."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from lightning_app.serving.config.control_channel import RefusedVersion, RegistryState, ResolvedModel, Slot
from lightning_app.serving.supervisor.resolving import Entry
from lightning_app.serving.supervisor.served_arms import ServedArms

_log = logging.getLogger("lightning_app.serving.supervisor")


class RegistryView:
    """Whether the registry answers, which aliases have moved, and where they point to a version that is refused.

    Attributes:
        state: What workers are told.
    """

    def __init__(self) -> None:
        self.state = RegistryState(reachable=True, since=_now())
        self._gone: set[str] = set()

    def moved(self, served: Sequence[ServedArms], versions: Mapping[str, int | None]) -> list[str]:
        """References whose alias points to a version that is neither served nor refused, or to none any more.

        Args:
            served: What is served, for each model.
            versions: Version by reference; None for an alias that does not exist.
        """
        refused = {(entry.name, entry.arm): entry.version for entry in self.state.refused}
        moved = []
        for model in served:
            for arm in model.references:
                if arm.model not in versions:
                    continue
                version, held = versions[arm.model], model.held.get(arm.arm)
                if version is None:
                    if held is None or not arm.is_optional:
                        self._say_gone(arm.model, held)
                    else:
                        moved.append(arm.model)
                    continue
                self._gone.discard(arm.model)
                if held is not None and version == held.version:
                    self.forgive((model.name, arm.arm))
                elif refused.get((model.name, arm.arm), -1) != version:
                    moved.append(arm.model)
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

    def refuse(self, slot: Slot, held: ResolvedModel | None, version: int | None, error: str) -> None:
        """Notes that a version is not served; the one before is, until its alias is moved again.

        Args:
            slot: Name and arm.
            held: The one before; None if there was none.
            version: Its number.
            error: Why.
        """
        name, arm = slot
        self.forgive(slot)
        refused = RefusedVersion(name=name, arm=arm, version=version, error=error, since=_now())
        self.state = msgspec.structs.replace(self.state, refused=[*self.state.refused, refused])
        what = name if version is None else f"{name}@{version}"
        facts = {"model": name, "arm": arm, "version": version}
        instead = f"nothing is served as {arm}" if held is None else f"{held.title} is served on"
        _log.error("%s is refused, %s: %s", what, instead, error, extra={"facts": facts})

    def forgive(self, slot: Slot) -> None:
        """Forgets that a version of a model was refused.

        Args:
            slot: Name and arm.
        """
        if any((entry.name, entry.arm) == slot for entry in self.state.refused):
            kept = [entry for entry in self.state.refused if (entry.name, entry.arm) != slot]
            self.state = msgspec.structs.replace(self.state, refused=kept)

    def forgive_all(self) -> None:
        """Forgets all versions that were refused."""
        self.state = msgspec.structs.replace(self.state, refused=[])

    def wanted(
        self, model: ServedArms, entries: Sequence[Entry], versions: Mapping[str, int | None]
    ) -> list[ResolvedModel]:
        """What is to be served of a model after it was resolved again; arms that could not be stay as they are.

        Args:
            model: What is served.
            entries: What was found; optional arms that are missing are served no longer.
            versions: Version by reference, as the registry gave it before.
        """
        wanted: list[ResolvedModel] = []
        for entry in entries:
            if isinstance(entry, ResolvedModel):
                wanted.append(entry)
                continue
            arm = entry.arm
            held = model.held.get(arm.arm)
            if held is not None:
                wanted.append(held)
            if entry.unreachable:
                self.is_silent(entry.error)
            else:
                self.refuse((model.name, arm.arm), held, entry.version or versions.get(arm.model), entry.error)
        return wanted

    def _say_gone(self, reference: str, held: ResolvedModel | None) -> None:
        if held is not None and reference not in self._gone:
            self._gone.add(reference)
            _log.warning("%s does not exist any more; %s is served on", reference, held.title)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
