"""Arm references: every package that a configuration names, and the arm that it answers as."""

from msgspec import Struct

from lightning_app.serving.config.serve_config import ModelConfig

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
FALLBACK = "fallback-"
"""Start of the names of fallback arms."""


class ArmReference(Struct, frozen=True, kw_only=True):
    """One package that a served model needs.

    Attributes:
        arm: Arm that it answers as.
        model: `NAME@champion`, `NAME@3`, `NAME`, or a folder.
        is_optional: Whether the server goes on without it while its alias does not exist.
    """

    arm: str
    model: str
    is_optional: bool = False


def own_arm(config: ModelConfig) -> str:
    """Arm of the served model itself, which answers whatever belongs to no other.

    Args:
        config: Configuration of the model.
    """
    if config.experiment is None:
        return CHAMPION
    return next(arm.name for arm in config.experiment.arms if arm.model is None)


def arm_references(config: ModelConfig) -> list[ArmReference]:
    """All packages of a served model, its own first.

    Args:
        config: Configuration of the model.
    """
    references = [ArmReference(arm=own_arm(config), model=config.model)]
    if config.experiment is not None:
        references += [
            ArmReference(arm=arm.name, model=arm.model) for arm in config.experiment.arms if arm.model is not None
        ]
    if config.canary is not None:
        name = config.model.partition("@")[0]
        references.append(ArmReference(arm=CHALLENGER, model=f"{name}@{config.canary.alias}", is_optional=True))
    if config.shadow is not None:
        references.append(ArmReference(arm=SHADOW, model=config.shadow.model, is_optional="@" in config.shadow.model))
    references += [
        ArmReference(arm=fallback_arm(number), model=fallback.model, is_optional="@" in fallback.model)
        for number, fallback in enumerate(config.fallback, start=1)
        if fallback.model is not None
    ]
    return references


def fallback_arm(number: int) -> str:
    """Arm of a fallback.

    Args:
        number: Its place in the chain, from 1.
    """
    return f"{FALLBACK}{number}"
