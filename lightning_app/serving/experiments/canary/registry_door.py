"""Registry door of a canary: promotes or withdraws the challenger, in a process of its own; prints JSON.

A process of its own, because MLflow costs seconds of CPU to import and 200 MB. Every change names the canary in its
reason: a door that was killed after the change finds it in the audit, and does not change anything twice, even if a
person has changed the aliases again in the meantime.
"""

import sys
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from lightning_app.errors import UsageError, describe

if TYPE_CHECKING:
    from lightning_app.registry import GateFile, Registry


class Order(Struct, frozen=True, kw_only=True):
    """What is to be done.

    Attributes:
        canary: Id of the canary.
        registry: Address of the registry; None takes `$MLFLOW_TRACKING_URI`.
        name: Name in the registry.
        version: Version of the challenger.
        champion: Version of the champion that it was compared with; None if that is not known.
        alias: Alias of the challenger.
        gates: File of the gates; None takes the default.
        action: `check` asks the gates and changes nothing.
        reason: Why; recorded in the audit.
        forced: Whether a person overrules the gates.
    """

    canary: str
    registry: str | None
    name: str
    version: int
    champion: int | None
    alias: str
    gates: str | None
    action: Literal["check", "promote", "roll_back"]
    reason: str = ""
    forced: bool = False


class Done(Struct, frozen=True, kw_only=True):
    """What came of an order.

    Attributes:
        outcome: `done`; `already` if it was done before; `refused` by the gates; `moved` if a person has changed the
            aliases; `failed` if it cannot be done; `later` if it may be tried again.
        words: More about it, in one line.
        gates: Name, bound, value and verdict of each gate, where they were asked.
    """

    outcome: Literal["done", "already", "refused", "moved", "failed", "later"]
    words: str = ""
    gates: list[dict[str, str | bool]] = []


def carry_out(order: Order) -> Done:
    """Carries out an order; what may be tried again is no error.

    Args:
        order: The order.
    """
    from lightning_app.registry import PromotionConflictError, Registry, RegistryUnreachableError
    from lightning_app.registry.promotion.gate_file import GateFile

    try:
        registry = Registry(order.registry)
        gates = GateFile.read() if order.gates is None else GateFile.read(order.gates)
        if order.action == "check":
            return _check(registry, order, gates)
        history = registry.history(order.name).entries.values()
        if any((entry.reason or "").startswith(f"{order.canary}: ") for entry in history):
            return Done(outcome="already", words="found in the audit")
        return _promote(registry, order, gates) if order.action == "promote" else _withdraw(registry, order)
    except (RegistryUnreachableError, PromotionConflictError) as error:
        return Done(outcome="later", words=describe(error))
    except ValueError as error:
        return Done(outcome="failed", words=describe(error))


def _check(registry: "Registry", order: Order, gates: "GateFile") -> Done:
    if (moved := _moved(registry, order)) is not None:
        return moved
    verdicts = registry.check(f"{order.name}@{order.version}", to="champion", gates=gates)
    shown: list[dict[str, str | bool]] = [
        {"gate": verdict.gate, "bound": verdict.bound, "value": verdict.value, "passed": verdict.passed}
        for verdict in verdicts
    ]
    failed = [f"{verdict.gate} ({verdict.value}; {verdict.bound})" for verdict in verdicts if not verdict.passed]
    if failed:
        words = f"{len(failed)} of {len(verdicts)} gates refuse it: {'; '.join(failed)}"
        return Done(outcome="refused", words=words, gates=shown)
    return Done(outcome="done", words=f"{len(verdicts)} gates passed", gates=shown)


def _promote(registry: "Registry", order: Order, gates: "GateFile") -> Done:
    if (moved := _moved(registry, order)) is not None:
        return moved
    reason = f"{order.canary}: {order.reason}"
    reasons = {"force": reason, "reason": None} if order.forced else {"force": None, "reason": reason}
    done = registry.promote(f"{order.name}@{order.version}", to="champion", gates=gates, **reasons)
    if not done.promoted:
        return _check(registry, order, gates)
    return Done(outcome="done", words=f"{order.name}@{order.version} is champion")


def _withdraw(registry: "Registry", order: Order) -> Done:
    if _aliases(registry, order.name).get(order.alias) != order.version:
        return Done(outcome="moved", words=f"{order.name}@{order.version} is {order.alias} no longer")
    reason = f"{order.canary}: {order.reason}"
    registry.withdraw(f"{order.name}@{order.version}", alias=order.alias, reason=reason)
    return Done(outcome="done", words=f"{order.name}@{order.version} is {order.alias} no longer")


def _moved(registry: "Registry", order: Order) -> Done | None:
    """What to say if the aliases are not those that the canary was for."""
    aliases = _aliases(registry, order.name)
    if (aliases.get("champion"), aliases.get(order.alias)) == (order.champion, order.version):
        return None
    held = ", ".join(f"{alias} {number}" for alias, number in sorted(aliases.items())) or "none"
    return Done(outcome="moved", words=f"the aliases of {order.name} are others by now: {held}")


def _aliases(registry: "Registry", name: str) -> dict[str, int]:
    return {alias: version.record.number for version in registry.versions(name) for alias in version.aliases}


def main() -> None:
    """Reads an order from stdin, and prints what came of it."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        done = carry_out(order)
    except Exception as error:
        kind = "failed" if isinstance(error, UsageError) else "later"
        done = Done(outcome=kind, words=describe(error))  # type: ignore[arg-type]
    sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")


if __name__ == "__main__":
    main()
