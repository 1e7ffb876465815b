"""Configuration of staying up: circuit breaker, fallbacks, and faults that are injected on purpose."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from lightning_app.errors import UsageError
from lightning_app.serving.config.yaml_file import read_yaml_file

if TYPE_CHECKING:
    from lightning_app.serving.config.serve_config import ModelConfig

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class BreakerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a model that fails is not asked any more, and when it is tried again.

    Attributes:
        window_seconds: Calls of so many seconds are counted.
        failures: Share of them that have to fail.
        min_requests: Fewer calls than that say nothing; as many failures in a row open it whatever was before.
        open_seconds: How long the model is not asked.
        probes: Calls in a row that have to work before it is asked by all again.
        slow_ms: A request that takes longer counts as failed, as soon as it does; None counts none.
        hang_ms: A call that takes longer is given up; None takes 20 times what was measured when the model was loaded,
            at least a quarter of the deadline, or a second if that is less.
    """

    window_seconds: Positive = 10.0
    failures: Annotated[float, Meta(gt=0, le=1)] = 0.5
    min_requests: Count = 20
    open_seconds: Positive = 5.0
    probes: Count = 3
    slow_ms: Positive | None = None
    hang_ms: Positive | None = None


class FallbackConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What answers if the model does not; one of the two is given.

    Attributes:
        model: `NAME@previous`, `NAME@3`, or a folder.
        constant: Value of each output of the model that is replaced, one row of it.
    """

    model: str | None = None
    constant: dict[str, Any] | None = None


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault that is injected.

    Attributes:
        kind: `error`, `delay`, `hang` (until it is stopped) or `freeze` (not even then) of calls of a model;
            `store_down` and `journal_down` fail as if nobody answered, `store_slow` and `journal_slow` wait first.
        model: Name of the model in addresses; None for all.
        arm: Arm of the model; None for all.
        share: Share of the calls.
        after: Seconds from the start of the worker until it begins.
        seconds: How long it lasts; None until the end.
        delay_ms: How long `delay`, `store_slow` and `journal_slow` wait.
    """

    kind: Literal["error", "delay", "hang", "freeze", "store_down", "store_slow", "journal_down", "journal_slow"]
    model: str | None = None
    arm: str | None = None
    share: Share = 1.0
    after: Annotated[float, Meta(ge=0)] = 0.0
    seconds: Positive | None = None
    delay_ms: Positive = 1000.0


class ChaosConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults that are injected, for tests and game days; only where the server listens on loopback.

    Attributes:
        faults: The faults.
        seed: Of the shares.
    """

    faults: Annotated[list[Fault], Meta(min_length=1)]
    seed: int = 0


def fallback_problem(fallback: list[FallbackConfig]) -> str | None:
    """Why a chain of fallbacks cannot be; None if it can.

    Args:
        fallback: The chain.
    """
    for number, one in enumerate(fallback, start=1):
        if (one.model is None) == (one.constant is None):
            return f"fallback: entry {number} has {'neither' if one.model is None else 'both'} of model and constant"
        if one.constant is not None and number < len(fallback):
            return f"fallback: entry {number} is a constant, which always answers; make it the last one"
    return None


def resilience_problem(model: "ModelConfig") -> str | None:
    """Why a model cannot be kept up as its configuration says; None if it can.

    Args:
        model: Configuration of the model.
    """
    if (problem := fallback_problem(model.fallback)) is not None:
        return problem
    if not model.fallback and (model.fallback_on_busy or model.fallback_ms is not None):
        key = "fallback_on_busy" if model.fallback_on_busy else "fallback_ms"
        return f"{key}: given without a fallback"
    if model.fallback_ms is not None and model.fallback_ms >= model.deadline_ms:
        return f"fallback_ms: {model.fallback_ms:g} given, less than deadline_ms ({model.deadline_ms:g}) needed"
    if model.store is None and (model.store_down != "refuse" or model.store_timeout_ms is not None):
        key = "store_timeout_ms" if model.store_down == "refuse" else f"store_down: {model.store_down}"
        return f"{key} given without a store"
    if model.store_down == "fallback" and not model.fallback:
        return "store_down: fallback given, but no fallback; list what shall answer"
    return None


def read_chaos(path: str) -> ChaosConfig:
    """Reads a file of faults.

    Args:
        path: YAML file.

    Raises:
        UsageError: It is missing or invalid.
    """
    return read_yaml_file(path, ChaosConfig, option="chaos", parts=(ChaosConfig, Fault))


def check_faults(chaos: ChaosConfig, models: Mapping[str, Collection[str]], stores: Collection[str]) -> None:
    """Raises unless every fault can happen to something that is served.

    Args:
        chaos: The faults.
        models: Arms of the served models, by the name of the model.
        stores: Names of the models that read an online store.

    Raises:
        UsageError: One is of another model or arm, or of a store where none is read.
    """
    for fault in chaos.faults:
        if fault.model is not None and fault.model not in models:
            raise UsageError(f"chaos: model: {fault.model!r} given, served are {', '.join(models)}")
        concerned = list(models) if fault.model is None else [fault.model]
        arms = list(dict.fromkeys(arm for name in concerned for arm in models[name]))
        if fault.arm is not None and fault.arm not in arms:
            raise UsageError(f"chaos: arm: {fault.arm!r} given, {', '.join(concerned)} has {', '.join(arms)}")
        if fault.kind.startswith("store") and not any(name in stores for name in concerned):
            raise UsageError(f"chaos: {fault.kind} given, but {', '.join(concerned)} reads no online store")


def chaos_problem(chaos: ChaosConfig) -> str | None:
    """Why faults cannot be injected; None if they can.

    Args:
        chaos: The faults.
    """
    for number, fault in enumerate(chaos.faults, start=1):
        if fault.kind.startswith(("store", "journal")) and fault.arm is not None:
            return f"chaos: fault {number}: arm given with {fault.kind}, which concerns no single arm"
        if fault.kind.startswith("journal") and fault.model is not None:
            return f"chaos: fault {number}: model given with {fault.kind}, but all models have one journal"
    return None
